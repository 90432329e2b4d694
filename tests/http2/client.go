// A client of tests/http2/clients: net/http of Go's standard library.
//
//	client VERSION URL CA one-by-one|together
//
// Reads lines of a signature and a file. Writes a line for each: the status, the version, the content of the answer.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	version, url, ca, how := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	pem, err := os.ReadFile(ca)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: version == "2"}
	if version == "1.1" {
		// An empty map turns HTTP/2 off.
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: transport, Timeout: 100 * time.Second}
	var answers []*string
	var sent sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		signature, file, _ := strings.Cut(lines.Text(), " ")
		answer := new(string)
		answers = append(answers, answer)
		if how == "together" {
			sent.Add(1)
			go func() {
				defer sent.Done()
				*answer = send(client, url, signature, file)
			}()
		} else {
			*answer = send(client, url, signature, file)
		}
	}
	sent.Wait()
	for _, answer := range answers {
		fmt.Println(*answer)
	}
}

func send(client *http.Client, url, signature, file string) string {
	content, err := os.Open(file)
	if err != nil {
		panic(err)
	}
	defer content.Close()
	request, err := http.NewRequest("POST", url, content)
	if err != nil {
		panic(err)
	}
	if info, err := content.Stat(); err == nil {
		request.ContentLength = info.Size()
		if info.Size() == 0 {
			request.Body = http.NoBody
		}
	}
	request.Header.Set("Propify-Signature", signature)
	response, err := client.Do(request)
	if err != nil {
		return "0 0 " + err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "0 0 " + err.Error()
	}
	version := strings.TrimSuffix(strings.TrimPrefix(response.Proto, "HTTP/"), ".0")
	return fmt.Sprintf("%d %s %s", response.StatusCode, version, strings.ReplaceAll(string(answer), "\n", " "))
}
