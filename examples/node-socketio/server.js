// A chat over several processes, with @socket.io/sticky and @socket.io/cluster-adapter as their READMEs have them. The primary's
// part (setupMaster, setupPrimary) is gone: Holdfast does it. With REDIS_URL it is a chat of several machines, and
// @socket.io/redis-adapter takes the other's place.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/cluster-adapter');
const { setupWorker } = require('@socket.io/sticky');

const page = fs.readFileSync(path.join(__dirname, 'index.html'));
const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.end(page);
});
const io = new Server(server);
setupWorker(io);
io.on('connection', (socket) => {
  socket.emit('worker', process.pid);
  socket.on('message', (text) => io.emit('message', `${process.pid}: ${text}`));
});

async function overRedis(url) {
  const { createClient } = require('redis');
  const adapter = require('@socket.io/redis-adapter');
  const publishes = createClient({ url });
  const listens = publishes.duplicate();
  for (const client of [publishes, listens]) client.on('error', (error) => console.error(`Redis: ${error.message}`));
  await Promise.all([publishes.connect(), listens.connect()]);
  return adapter.createAdapter(publishes, listens);
}

async function main() {
  io.adapter(process.env.REDIS_URL ? await overRedis(process.env.REDIS_URL) : createAdapter());
  process.send('ready');
}
main();
