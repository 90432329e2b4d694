// The senders' own libraries for Node.js as judges. Reads a list of cases from standard input, and prints a list of findings.
//
// A case names a sender and has attempts: each a body, a secret, fields and a URL. A finding says of each attempt whether the
// library accepts it. If the library can sign, the finding also has the fields that it makes for the case's first attempt.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// The folder with the installed libraries.
const folder = join(process.argv[2], "judge.mjs");
const load = createRequire(folder);
const Stripe = load("stripe");
const { Webhook: Svix } = load("svix");
const { Webhook: Standard } = load("standardwebhooks");
const twilio = load("twilio");
const { EventWebhook } = load("@sendgrid/eventwebhook");
const Razorpay = load("razorpay");
const { verifyKey } = load("discord-interactions");
const { Retell } = load("retell-sdk");
const importable = async (name, entry) =>
  import(pathToFileURL(join(process.argv[2], "node_modules", name, entry)).href);
const github = await importable("@octokit/webhooks-methods", "dist-node/index.js");
const { validateSignature } = load("@line/bot-sdk");
const { Paddle } = load("@paddle/paddle-node-sdk");
const { WorkOS } = load("@workos-inc/node");

const stripe = new Stripe("sk_test_0");
const paddle = new Paddle("pdl_0");
const workos = new WorkOS("sk_test_0", { clientId: "client_0" });
const now = () => new Date();

const form = (body) => Object.fromEntries(new URLSearchParams(body));

// Of each sender: how its library verifies, and how its library signs, if it can.
const judges = {
  discord: {
    verify: ({ body, secret, fields }) =>
      verifyKey(body, fields["x-signature-ed25519"], fields["x-signature-timestamp"], secret),
  },
  github: {
    verify: ({ body, secret, fields }) => github.verify(secret, body, fields["x-hub-signature-256"]),
    sign: async ({ body, secret }) => ({ "x-hub-signature-256": await github.sign(secret, body) }),
  },
  line: {
    verify: ({ body, secret, fields }) => validateSignature(body, secret, fields["x-line-signature"]),
  },
  paddle: {
    verify: async ({ body, secret, fields }) =>
      (await paddle.webhooks.unmarshal(body, secret, fields["paddle-signature"])) !== null,
  },
  razorpay: {
    verify: ({ body, secret, fields }) =>
      Razorpay.validateWebhookSignature(body, fields["x-razorpay-signature"], secret),
  },
  retell: {
    verify: ({ body, secret, fields }) => Retell.verify(body, secret, fields["x-retell-signature"]),
    sign: async ({ body, secret }) => ({ "x-retell-signature": await Retell.sign(body, secret) }),
  },
  sendgrid: {
    verify: ({ body, secret, fields }) => {
      const judge = new EventWebhook();
      const name = "x-twilio-email-event-webhook";
      return judge.verifySignature(
        judge.convertPublicKeyToECDSA(secret), body, fields[`${name}-signature`], fields[`${name}-timestamp`]);
    },
  },
  "standard-webhooks": {
    verify: ({ body, secret, fields }) => Boolean(new Standard(secret).verify(body, fields)),
    sign: ({ body, secret }) => {
      const [id, time] = ["msg_of_the_library", now()];
      return {
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(time.getTime() / 1000)),
        "webhook-signature": new Standard(secret).sign(id, time, body),
      };
    },
  },
  stripe: {
    verify: ({ body, secret, fields }) =>
      Boolean(stripe.webhooks.constructEvent(body, fields["stripe-signature"], secret)),
    sign: ({ body, secret }) => ({
      "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body, secret }),
    }),
  },
  svix: {
    verify: ({ body, secret, fields }) => Boolean(new Svix(secret).verify(body, fields)),
    sign: ({ body, secret }) => {
      const [id, time] = ["msg_of_the_library", now()];
      return {
        "svix-id": id,
        "svix-timestamp": String(Math.floor(time.getTime() / 1000)),
        "svix-signature": new Svix(secret).sign(id, time, body),
      };
    },
  },
  twilio: {
    verify: ({ body, secret, fields, url }) =>
      twilio.validateRequest(secret, fields["x-twilio-signature"], url, form(body)),
    sign: ({ body, secret, url }) => ({
      "x-twilio-signature": load("twilio/lib/webhooks/webhooks").getExpectedTwilioSignature(secret, url, form(body)),
    }),
  },
  "twilio-json": {
    verify: ({ body, secret, fields, url }) =>
      twilio.validateRequestWithBody(secret, fields["x-twilio-signature"], url, body),
  },
  workos: {
    verify: async ({ body, secret, fields }) =>
      Boolean(
        await workos.webhooks.constructEvent({
          payload: JSON.parse(body), sigHeader: fields["workos-signature"], secret,
        })),
  },
};

const findings = [];
for (const { sender, attempts } of JSON.parse(readFileSync(0, "utf8"))) {
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
  findings.push({ accepted, signed: judge.sign ? await judge.sign(attempts[0]) : null });
}
console.log(JSON.stringify(findings));
