// A chat over several processes, with @socket.io/sticky and @socket.io/cluster-adapter as their READMEs have them. The primary's
// part (setupMaster, setupPrimary) is gone: Holdfast does it.
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
io.adapter(createAdapter());
setupWorker(io);
io.on('connection', (socket) => {
  socket.emit('worker', process.pid);
  socket.on('message', (text) => io.emit('message', `${process.pid}: ${text}`));
});
process.send('ready');
