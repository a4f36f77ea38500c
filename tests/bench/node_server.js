// A server for two processes: under Holdfast, or with a primary of its own. Arguments: cluster or sticky-session, and the port.
'use strict';
const cluster = require('node:cluster');
const http = require('node:http');

const [way, port] = [process.argv[2], Number(process.argv[3])];
const server = () => http.createServer((request, response) => {
  const body = JSON.stringify({ slot: Number(process.env.NODE_APP_INSTANCE || 0), pid: process.pid });
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
});

if (way === 'sticky-session') {
  require('sticky-session').listen(server(), port, { workers: 2 });
} else if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
} else {
  server().listen(port, '127.0.0.1');
}
