{{- define "hookgate.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "hookgate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hookgate.labels" -}}
{{ include "hookgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* The template of a pod, for the Deployment and the StatefulSet. */ -}}
{{- define "hookgate.pod" -}}
metadata:
  labels:
    {{- include "hookgate.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  automountServiceAccountToken: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    seccompProfile: { type: RuntimeDefault }
    # Mounted secrets and the volume belong to this group.
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
  containers:
    - name: hookgate
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: ["run"]
      {{- if .Values.stayEndedIfConfigIsWrong }}
      {{- if semverCompare "<1.35.0-0" .Capabilities.KubeVersion.Version }}
      {{- fail "stayEndedIfConfigIsWrong needs Kubernetes 1.35 or later" }}
      {{- end }}
      restartPolicy: Never
      restartPolicyRules:
        - action: Restart
          exitCodes: { operator: NotIn, values: [2, 78] }
      {{- end }}
      {{- with .Values.env }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - { name: webhooks, containerPort: {{ .Values.ports.webhooks }} }
        {{- if .Values.ports.tls }}
        - { name: tls, containerPort: {{ .Values.ports.tls }} }
        {{- end }}
        - { name: admin, containerPort: {{ .Values.ports.admin }} }
      # No preStop: during `drain_delay`, readiness fails and hookgate still serves.
      startupProbe:
        httpGet: { path: /healthz, port: admin }
        periodSeconds: 1
        failureThreshold: 30
      readinessProbe:
        httpGet: { path: /readyz, port: admin }
        periodSeconds: 2
        failureThreshold: 1
      livenessProbe:
        httpGet: { path: /healthz, port: admin }
        periodSeconds: 10
        failureThreshold: 3
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      # Folders, because a file that is mounted with `subPath` never changes.
      volumeMounts:
        - { name: config, mountPath: /etc/hookgate, readOnly: true }
        {{- range .Values.secrets }}
        - { name: {{ printf "secret-%s" . | quote }}, mountPath: {{ printf "/run/secrets/%s" . | quote }}, readOnly: true }
        {{- end }}
        {{- if .Values.tlsSecret }}
        - { name: tls, mountPath: /run/tls, readOnly: true }
        {{- end }}
        {{- if .Values.storage.enabled }}
        - { name: events, mountPath: /var/lib/hookgate }
        {{- end }}
  volumes:
    - name: config
      configMap: { name: {{ include "hookgate.name" . }} }
    {{- range .Values.secrets }}
    - name: {{ printf "secret-%s" . | quote }}
      secret: { secretName: {{ . | quote }}, defaultMode: 0440 }
    {{- end }}
    {{- if .Values.tlsSecret }}
    - name: tls
      secret: { secretName: {{ .Values.tlsSecret | quote }}, defaultMode: 0440 }
    {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
  {{- with index $.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}
