// HTTP servers of `cluster`, in no way written for Holdfast. Arguments: a port or a path for each server; also
// "exclusive", "reusePort", "https" and "udp", which listen in other ways.
'use strict';
const cluster = require('node:cluster');
const dgram = require('node:dgram');
const http = require('node:http');
const https = require('node:https');

const ways = {
  exclusive: (server) => server.listen({ port: 0, exclusive: true }),
  reusePort: (server) => server.listen({ port: 0, reusePort: true }),
  https: (server) => server.listen(443),
  udp: (server) => server.bind(5353),
};

process.argv.slice(2).forEach((where, index) => {
  const server = where === 'udp' ? dgram.createSocket('udp4')
    : (where === 'https' ? https : http).createServer((request, response) => answer(server, index, request, response));
  server.on('error', (error) => console.log(`error ${index} ${error.code}`));
  server.on('listening', () => console.log(`listening ${index} ${JSON.stringify(server.address())}`));
  if (ways[where]) ways[where](server);
  else server.listen(/^\d+$/.test(where) ? Number(where) : where);
});

function answer(server, index, request, response) {
  let received = 0;
  request.on('data', (chunk) => { received += chunk.length; });
  request.on('end', () => {
    const url = new URL(request.url, 'http://x');
    const body = JSON.stringify({
      pid: process.pid, slot: Number(process.env.NODE_APP_INSTANCE), listener: String(index), received,
      worker: cluster.worker ? cluster.worker.id : 0, remote: request.socket.remoteAddress,
    });
    response.setHeader('Content-Length', Buffer.byteLength(body));
    response.setHeader('Content-Type', 'application/json');
    const wait = Number(url.searchParams.get('wait') || 0);
    setTimeout(() => {
      response.end(body);
      response.on('finish', () => after(url.pathname, server));
    }, wait);
  });
}

function after(wish, server) {
  if (wish === '/disconnect') cluster.worker.disconnect();
  if (wish === '/exit') process.exit(3);
  if (wish === '/close') server.close();
  if (wish === '/full') server.maxConnections = 1;
  if (wish === '/unlimited') server.maxConnections = 0;
  if (wish === '/say') process.send({ said: 'half a pair: \ud83d', deep: JSON.parse('['.repeat(50) + ']'.repeat(50)) });
  if (wish === '/say-bytes') {
    const itself = { bytes: Buffer.from([1, 2, 3]), map: new Map([['k', [1]]]), date: new Date(0) };
    itself.itself = itself;
    process.send(itself);
  }
  if (wish === '/ready') process.send('ready');
  if (wish === '/block') { const end = Date.now() + 60000; while (Date.now() < end); }
}

process.on('message', (message) => {
  if (!message.itself) return console.log(`message ${JSON.stringify(message)}`);
  console.log(`bytes ${message.bytes.length} map ${message.map.size} date ${message.date.getTime()} itself ${message.itself === message}`);
});
