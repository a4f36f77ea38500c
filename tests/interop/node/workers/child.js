// A forked child that is no worker of `cluster`.
'use strict';
const http = require('node:http');

const server = http.createServer((request, response) => {
  const body = JSON.stringify({ pid: process.pid, slot: Number(process.env.NODE_APP_INSTANCE), message: last });
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
});
let last;
process.on('message', (message, socket) => {
  if (!socket) return console.log(`message ${JSON.stringify(message)}`);
  last = message;
  server.emit('connection', socket);
});
process.on('disconnect', () => console.log('disconnect'));
process.send('ready');
