'use strict';

// The app of a Propify customer, much as Propify's documentation shows it. It verifies nothing: it does what the event
// says. So nobody but hookgate may reach it; that is why it listens on the loopback address only.

const express = require('express');

const app = express();

app.use((req, res, next) => {
  console.log(`${req.method} ${req.originalUrl}`);
  next();
});
app.use(express.json());

app.post('/webhook/leases', (req, res) => {
  const event = req.body ?? {};
  let news;
  if (event.diff) {
    news = `lease ${event.record_id}: ${changes(event.diff).join(', ') || 'nothing changed'}`;
  } else if (event.data) {
    news = `lease ${event.data.id}: ${event.data.event}`;
  } else {
    res.status(400).json({ error: 'an event has a diff or data' });
    return;
  }
  console.log(news);
  res.json({ ok: true, news });
});

function changes({ previous = {}, new: next = {} }) {
  const keys = new Set([...Object.keys(previous), ...Object.keys(next)]);
  return [...keys]
    .filter((key) => JSON.stringify(previous[key]) !== JSON.stringify(next[key]))
    .map((key) => `${key} ${JSON.stringify(previous[key])} -> ${JSON.stringify(next[key])}`);
}

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
