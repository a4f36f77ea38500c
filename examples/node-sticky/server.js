// A server with sticky-session, as its README has it: nothing in it is for Holdfast.
'use strict';
const cluster = require('node:cluster');
const http = require('node:http');
const sticky = require('sticky-session');

let visits = 0;
const server = http.createServer((request, response) => {
  visits += 1;
  response.end(`worker ${cluster.worker.id} has seen ${visits} requests\n`);
});
if (!sticky.listen(server, 3000)) {
  // Not reached under Holdfast.
  server.once('listening', () => console.log('server started on port 3000'));
}
