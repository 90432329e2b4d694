'use strict';

// An Express app with its routes, as they are by default.

const { appendFileSync } = require('node:fs');
const express = require('express');

const app = express();
app.use(express.raw({ type: () => true, limit: '1mb' }));

const note = (handler) => (req, res) => {
  const content = Buffer.isBuffer(req.body) ? req.body.toString('hex') : '';
  const line = { handler, path: req.path, content, fields: req.headers };
  appendFileSync(process.env.SEEN, `${JSON.stringify(line)}\n`);
  res.send('ok\n');
};

app.post('/webhook/leases', note('leases'));
app.post('/hooks/admin', note('admin'));
app.post('/hooks/:tenant', note('tenant'));
app.post('/partner/*rest', note('partner'));
app.post('/*rest', note('other'));
app.listen(Number(process.env.PORT), '127.0.0.1', (error) => {
  if (error) throw error;
});
