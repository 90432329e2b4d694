// The verifier for Node.js of docs/assertion.md as a judge. Reads cases from standard input, and prints which it accepts.

import { readFileSync } from "node:fs";
import { ed25519, hmacSha256, verify } from "./assertion.mjs";

const accepts = ({ algorithm, key, key_id, method, target, fields, body, now }) => {
  const headers = {};
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    headers[lower] = lower in headers ? `${headers[lower]}, ${value}` : value;
  }
  const keys = new Map([[key_id, algorithm === "ed25519" ? ed25519(key) : hmacSha256(key)]]);
  try {
    verify(method, target, headers, Buffer.from(body, "base64"), keys, now);
    return true;
  } catch {
    return false;
  }
};

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(accepts)));
