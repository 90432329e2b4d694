// A client of tests/http2/clients: Node's http, https and http2.
//
//     node client.mjs VERSION URL CA one-by-one|together
//
// Reads lines of a signature and a file. Writes a line for each: the status, the version, the content of the answer.

import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";

const [version, address, authority, how] = process.argv.slice(2);
const url = new URL(address);
const ca = fs.readFileSync(authority);
const oneLine = (text) => text.replaceAll("\n", " ");

function overHttp1() {
  const is_tls = url.protocol === "https:";
  const agent = new (is_tls ? https : http).Agent({ keepAlive: true, maxSockets: 4, ca });
  const send = (signature, file) =>
    new Promise((resolve) => {
      let status = 0;
      const options = { method: "POST", agent, headers: { "propify-signature": signature, "content-length": fs.statSync(file).size } };
      const request = (is_tls ? https : http).request(url, options, (response) => {
        status = response.statusCode;
        let text = "";
        response.on("data", (piece) => (text += piece));
        response.on("end", () => resolve(`${status} ${response.httpVersion} ${oneLine(text)}`));
      });
      // An early answer may come before the write fails.
      request.on("error", (error) => status === 0 && resolve(`0 0 ${error}`));
      fs.createReadStream(file).pipe(request);
    });
  return { send, close: () => agent.destroy() };
}

function overHttp2() {
  let session;
  const connect = () => {
    session = http2.connect(url.origin, { ca });
    session.on("error", () => {});
  };
  connect();
  const send = (signature, file) =>
    new Promise((resolve) => {
      if (session.closed || session.destroyed) connect();
      let status = 0;
      let text = "";
      const stream = session.request({ ":method": "POST", ":path": url.pathname, "propify-signature": signature });
      stream.on("response", (fields) => (status = fields[":status"]));
      stream.on("data", (piece) => (text += piece));
      stream.on("error", (error) => (text = text || String(error)));
      const end = () => resolve(`${status} ${status ? 2 : 0} ${oneLine(text)}`);
      // An early answer may end before the content does.
      stream.on("end", () => status && end());
      stream.on("close", end);
      fs.createReadStream(file).pipe(stream);
    });
  return { send, close: () => session.destroy() };
}

const { send, close } = version === "2" ? overHttp2() : overHttp1();
const lines = fs.readFileSync(0, "utf8").trim().split("\n").map((line) => line.split(" "));
const answers = [];
if (how === "together") {
  answers.push(...(await Promise.all(lines.map(([signature, file]) => send(signature, file)))));
} else {
  for (const [signature, file] of lines) answers.push(await send(signature, file));
}
console.log(answers.join("\n"));
close();
