// One HTTP server, opened as the library named by the argument wants it.
'use strict';
const http = require('node:http');

const server = http.createServer((request, response) => {
  const body = JSON.stringify({ pid: process.pid, slot: Number(process.env.NODE_APP_INSTANCE), listener: library });
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
  if (request.url === '/close') server.close();
});
const library = process.argv[2];
if (library === 'sticky-session') {
  if (!require('sticky-session').listen(server, 3000)) throw new Error('not a worker');
} else if (library === 'sticky-session-0') {
  require('sticky-session-0')(() => server).listen(3000);
} else if (library === 'sticky-cluster') {
  require('sticky-cluster')((callback) => callback(server), { port: 3000 });
} else if (library === 'sticky-listen') {
  require('sticky-listen').listen(server);
} else {
  // As sticky-session 0.x and the recipes after it.
  process.on('message', (message, connection) => {
    if (message !== 'sticky-session:connection') return;
    server.emit('connection', connection);
    connection.resume();
  });
}
process.send('ready');
