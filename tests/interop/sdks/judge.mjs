// The senders' own libraries for Node.js as judges. Reads a case from standard input, and prints a finding.
//
// A case names a sender and has attempts: each a body, a secret, fields and a URL. A finding says of each attempt whether the
// library accepts it. If the library can sign, the finding also has the fields that it makes for the case's first attempt.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// The folder with the installed libraries. A library is loaded when its judge is needed.
const folder = process.argv[2];
const load = createRequire(join(folder, "judge.mjs"));
const importable = (name, entry) => import(pathToFileURL(join(folder, "node_modules", name, entry)).href);

const now = () => new Date();
const seconds = (time) => String(Math.floor(time.getTime() / 1000));
const form = (body) => Object.fromEntries(new URLSearchParams(body));

// A judge that says yes unless it throws.
const throwing = (judge) => async (attempt) => {
  await judge(attempt);
  return true;
};

// How a library for Standard Webhooks signs, with the names that these fields have.
const standard = (library, prefix) => ({ body, secret }) => {
  const { Webhook } = load(library);
  const [id, time] = ["msg_of_the_library", now()];
  return {
    [`${prefix}-id`]: id,
    [`${prefix}-timestamp`]: seconds(time),
    [`${prefix}-signature`]: new Webhook(secret).sign(id, time, body),
  };
};

const shared = (algorithm, { secret, fields, url, body }) =>
  load("twilio").validateRequest(secret, fields["x-twilio-signature"], url, form(body), algorithm);

const expected = (algorithm, { secret, url, body }) => ({
  "x-twilio-signature":
    load("twilio/lib/webhooks/webhooks").getExpectedTwilioSignature(secret, url, form(body), algorithm),
});

const shopify = async (field, { body, secret, fields }) => {
  await importable("@shopify/shopify-api", "dist/esm/adapters/node/index.mjs");
  const { shopifyApi } = await importable("@shopify/shopify-api", "dist/esm/lib/index.mjs");
  const api = shopifyApi({
    apiKey: "key", apiSecretKey: secret, apiVersion: "2026-01", hostName: "hooks.example.com", isEmbeddedApp: false,
    logger: { level: 0 },
  });
  const other = {
    topic: "orders/create", "shop-domain": "shop.myshopify.com", "api-version": "2026-01", "webhook-id": "1",
    "event-id": "1",
  };
  const prefix = field.slice(0, -"hmac-sha256".length);
  const headers = Object.fromEntries(Object.entries(other).map(([name, value]) => [`${prefix}${name}`, value]));
  const request = { method: "POST", url: "/in", headers: { ...headers, [field]: fields["x-shopify-hmac-sha256"] } };
  const verdict = await api.webhooks.validate({ rawBody: body, rawRequest: request, rawResponse: {} });
  if (!verdict.valid && process.env.JUDGE_SAYS) console.error(JSON.stringify(verdict));
  return verdict.valid;
};

const discord = {
  verify: ({ body, secret, fields }) =>
    load("discord-interactions").verifyKey(
      body, fields["x-signature-ed25519"], fields["x-signature-timestamp"], secret),
};

// Of each sender: how its library verifies, and how its library signs, if it can.
const judges = {
  "adyen-platform": {
    verify: ({ body, secret, fields }) => {
      const { default: Validator } = load("@adyen/api-library/lib/src/utils/hmacValidator");
      return new Validator().validateHMACSignature(secret, fields.hmacsignature, body);
    },
    sign: ({ body, secret }) => {
      const { default: Validator } = load("@adyen/api-library/lib/src/utils/hmacValidator");
      return { hmacsignature: new Validator().calculateHmac(body, secret) };
    },
  },
  anthropic: {
    verify: throwing(({ body, secret, fields }) => {
      const { Anthropic } = load("@anthropic-ai/sdk");
      new Anthropic({ apiKey: "key" }).beta.webhooks.unwrap(body, { headers: fields, key: secret });
    }),
  },
  box: {
    verify: ({ body, secret, fields }) => {
      // Fields that Box sends and does not sign.
      const own = { "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256" };
      return load("box-node-sdk/lib/managers/webhooks").WebhooksManager.validateMessage(
        body, { ...own, ...fields }, secret);
    },
  },
  clerk: {
    verify: throwing(({ body, secret, fields }) => {
      const request = new Request("https://hooks.example.com/in", { method: "POST", headers: fields, body });
      return load("@clerk/backend/webhooks").verifyWebhook(request, { signingSecret: secret });
    }),
  },
  "coinbase-commerce": {
    verify: ({ body, secret, fields }) =>
      load("coinbase-commerce-node").Webhook.verifySigHeader(body, fields["x-cc-webhook-signature"], secret),
    sign: ({ body, secret }) => ({
      "x-cc-webhook-signature": load("coinbase-commerce-node").Webhook.computeSignature(body, secret),
    }),
  },
  discord,
  "discord-events": discord,
  "dodo-payments": {
    verify: throwing(({ body, secret, fields }) => {
      const { DodoPayments } = load("dodopayments");
      new DodoPayments({ bearerToken: "key" }).webhooks.unwrap(body, { headers: fields, key: secret });
    }),
  },
  easypost: {
    verify: throwing(({ body, secret, fields }) => {
      const EasyPost = load("@easypost/api");
      new EasyPost("key").Utils.validateWebhook(Buffer.from(body), fields, secret);
    }),
  },
  github: {
    verify: async ({ body, secret, fields }) =>
      (await importable("@octokit/webhooks-methods", "dist-node/index.js")).verify(
        secret, body, fields["x-hub-signature-256"]),
    sign: async ({ body, secret }) => ({
      "x-hub-signature-256":
        await (await importable("@octokit/webhooks-methods", "dist-node/index.js")).sign(secret, body),
    }),
  },
  hubspot: {
    verify: ({ body, secret, fields, url }) =>
      load("@hubspot/api-client").Signature.isValid({
        method: "POST", signatureVersion: "v3", clientSecret: secret, requestBody: body, url,
        signature: fields["x-hubspot-signature-v3"], timestamp: Number(fields["x-hubspot-request-timestamp"]),
      }),
    sign: ({ body, secret, url }) => {
      const timestamp = Date.now();
      const made = load("@hubspot/api-client").Signature.getSignature("POST", "v3", {
        clientSecret: secret, requestBody: body, url, timestamp,
      });
      return { "x-hubspot-signature-v3": made, "x-hubspot-request-timestamp": String(timestamp) };
    },
  },
  line: {
    verify: ({ body, secret, fields }) =>
      load("@line/bot-sdk").validateSignature(body, secret, fields["x-line-signature"]),
  },
  linear: {
    verify: async ({ body, secret, fields }) => {
      const { LinearWebhookClient } = await importable("@linear/sdk", "dist/webhooks/index.mjs");
      return new LinearWebhookClient(secret).verify(Buffer.from(body), fields["linear-signature"]);
    },
  },
  livekit: {
    // The API key that the JWT names is not part of the scheme, so the library is given none.
    verify: throwing(({ body, secret, fields }) =>
      new (load("livekit-server-sdk").WebhookReceiver)(undefined, secret).receive(body, fields.authorization)),
    sign: async ({ body, secret }) => {
      const token = new (load("livekit-server-sdk").AccessToken)("key", secret, { ttl: 300 });
      token.sha256 = createHash("sha256").update(body).digest("base64");
      return { authorization: await token.toJwt() };
    },
  },
  "modern-treasury": {
    verify: ({ body, secret, fields }) => {
      const { ModernTreasury } = load("modern-treasury");
      return new ModernTreasury({ apiKey: "key", organizationID: "id" }).webhooks.validateSignature(
        body, fields, { key: secret });
    },
    sign: ({ body, secret }) => {
      const { ModernTreasury } = load("modern-treasury");
      const client = new ModernTreasury({ apiKey: "key", organizationID: "id" });
      return { "x-signature": client.webhooks.getSignature(body, { key: secret }) };
    },
  },
  mux: {
    verify: throwing(({ body, secret, fields }) => {
      const { Mux } = load("@mux/mux-node");
      return new Mux({ tokenId: "id", tokenSecret: "secret" }).webhooks.verifySignature(body, fields, secret);
    }),
  },
  notion: {
    verify: ({ body, secret, fields }) =>
      load("@notionhq/client").verifyWebhookSignature({
        body, signature: fields["x-notion-signature"], verificationToken: secret,
      }),
    sign: async ({ body, secret }) => ({
      "x-notion-signature":
        await load("@notionhq/client").signWebhookPayload({ body, verificationToken: secret }),
    }),
  },
  onfido: {
    verify: throwing(({ body, secret, fields }) => {
      const { WebhookEventVerifier } = load("@onfido/api");
      new WebhookEventVerifier(secret).readPayload(body, fields["x-sha2-signature"]);
    }),
  },
  openai: {
    verify: throwing(({ body, secret, fields }) => {
      const { OpenAI } = load("openai");
      return new OpenAI({ apiKey: "key" }).webhooks.unwrap(body, fields, secret);
    }),
  },
  paddle: {
    verify: async ({ body, secret, fields }) => {
      const { Paddle } = load("@paddle/paddle-node-sdk");
      return (await new Paddle("key").webhooks.unmarshal(body, secret, fields["paddle-signature"])) !== null;
    },
  },
  plain: {
    verify: ({ body, secret, fields }) => {
      const { verifyPlainWebhook } = load("@team-plain/typescript-sdk");
      const { data, error } = verifyPlainWebhook(body, fields["plain-request-signature"], secret);
      if (data) return true;
      // The library checks first the signature, then the event's shape, then the time.
      if (process.env.JUDGE_SAYS) console.error("plain", error.message);
      return false;
    },
  },
  polar: {
    verify: throwing(({ body, secret, fields }) => load("@polar-sh/sdk/2026-10").webhooks.validateEvent(body, fields, secret)),
  },
  pusher: {
    verify: ({ body, secret, fields }) => {
      const Pusher = load("pusher");
      const client = new Pusher({ appId: "1", key: "key", secret, cluster: "eu" });
      const headers = { ...fields, "x-pusher-key": "key", "content-type": "application/json" };
      return client.webhook({ headers, rawBody: body }).isValid();
    },
  },
  razorpay: {
    verify: ({ body, secret, fields }) =>
      load("razorpay").validateWebhookSignature(body, fields["x-razorpay-signature"], secret),
  },
  replicate: {
    verify: ({ body, secret, fields }) => load("replicate").validateWebhook({ headers: fields, body }, secret),
  },
  resend: {
    verify: throwing(({ body, secret, fields }) => {
      const { Resend } = load("resend");
      const headers = {
        id: fields["svix-id"], timestamp: fields["svix-timestamp"], signature: fields["svix-signature"],
      };
      new Resend("re_0").webhooks.verify({ payload: body, headers, webhookSecret: secret });
    }),
  },
  retell: {
    verify: ({ body, secret, fields }) => load("retell-sdk").Retell.verify(body, secret, fields["x-retell-signature"]),
    sign: async ({ body, secret }) => ({ "x-retell-signature": await load("retell-sdk").Retell.sign(body, secret) }),
  },
  sanity: {
    verify: ({ body, secret, fields }) =>
      load("@sanity/webhook").isValidSignature(body, fields["sanity-webhook-signature"], secret),
    sign: async ({ body, secret }) => ({
      "sanity-webhook-signature": await load("@sanity/webhook").encodeSignatureHeader(body, Date.now(), secret),
    }),
  },
  sendgrid: {
    verify: ({ body, secret, fields }) => {
      const judge = new (load("@sendgrid/eventwebhook").EventWebhook)();
      const name = "x-twilio-email-event-webhook";
      return judge.verifySignature(
        judge.convertPublicKeyToECDSA(secret), body, fields[`${name}-signature`], fields[`${name}-timestamp`]);
    },
  },
  shopify: {
    verify: async (attempt) => {
      const verdicts = [await shopify("x-shopify-hmac-sha256", attempt), await shopify("shopify-hmac-sha256", attempt)];
      if (verdicts[0] !== verdicts[1]) throw new Error(`webhooks and events differ: ${verdicts}`);
      return verdicts[0];
    },
  },
  square: {
    verify: ({ body, secret, fields, url }) =>
      load("square").WebhooksHelper.verifySignature({
        requestBody: body, signatureHeader: fields["x-square-hmacsha256-signature"], signatureKey: secret,
        notificationUrl: url,
      }),
  },
  "standard-webhooks": {
    verify: ({ body, secret, fields }) => Boolean(new (load("standardwebhooks").Webhook)(secret).verify(body, fields)),
    sign: standard("standardwebhooks", "webhook"),
  },
  stripe: {
    verify: ({ body, secret, fields }) =>
      Boolean(new (load("stripe"))("sk_test_0").webhooks.constructEvent(body, fields["stripe-signature"], secret)),
    sign: ({ body, secret }) => ({
      "stripe-signature":
        new (load("stripe"))("sk_test_0").webhooks.generateTestHeaderString({ payload: body, secret }),
    }),
  },
  // Supabase's documentation removes `v1,` and leaves the rest to this library.
  supabase: {
    verify: ({ body, secret, fields }) => {
      const { Webhook } = load("standardwebhooks");
      return Boolean(new Webhook(secret.replace("v1,", "")).verify(body, fields));
    },
  },
  svix: {
    verify: ({ body, secret, fields }) => Boolean(new (load("svix").Webhook)(secret).verify(body, fields)),
    sign: standard("svix", "svix"),
  },
  telnyx: {
    verify: throwing(({ body, secret, fields }) => {
      const { Telnyx } = load("telnyx");
      return new Telnyx({ apiKey: "key" }).webhooks.unwrap(body, { headers: fields, key: secret });
    }),
  },
  todoist: {
    verify: async ({ body, secret, fields }) => {
      const { verifyWebhookSignature } = await importable("@doist/todoist-sdk", "dist/esm/utils/webhook-parser.js");
      return verifyWebhookSignature({
        rawBody: body, signature: fields["x-todoist-hmac-sha256"], clientSecret: secret,
      });
    },
  },
  twilio: {
    verify: (attempt) => shared("HMAC_SHA1", attempt),
    sign: (attempt) => expected("HMAC_SHA1", attempt),
  },
  "twilio-json": {
    verify: ({ body, secret, fields, url }) =>
      load("twilio").validateRequestWithBody(secret, fields["x-twilio-signature"], url, body),
  },
  "twilio-shared-key": {
    verify: (attempt) => shared("HMAC_SHA256", attempt),
    sign: (attempt) => expected("HMAC_SHA256", attempt),
  },
  vonage: {
    // The library verifies the JWT. Its documentation leaves the digest of the content to the app.
    verify: ({ body, secret, fields }) => {
      const token = fields.authorization.replace("Bearer ", "");
      const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
      return load("@vonage/jwt").verifySignature(token, secret)
        && claims.payload_hash === createHash("sha256").update(body).digest("hex");
    },
  },
  webflow: {
    verify: ({ body, secret, fields }) =>
      new (load("webflow-api/wrapper/WebhooksClient").Client)({}).verifySignature({ headers: fields, body, secret }),
  },
  workos: {
    verify: throwing(({ body, secret, fields }) => {
      const { WorkOS } = load("@workos-inc/node");
      return new WorkOS("sk_test_0", { clientId: "client_0" }).webhooks.constructEvent({
        payload: JSON.parse(body), sigHeader: fields["workos-signature"], secret,
      });
    }),
  },
};

const { sender, attempts } = JSON.parse(readFileSync(0, "utf8"));
const judge = judges[sender];
const accepted = [];
for (const attempt of attempts) {
  let verdict = false;
  try {
    verdict = (await judge.verify(attempt)) === true;
  } catch (error) {
    if (process.env.JUDGE_SAYS) console.error(sender, error.message);
  }
  accepted.push(verdict);
}
console.log(JSON.stringify({ accepted, signed: judge.sign ? await judge.sign(attempts[0]) : null }));
