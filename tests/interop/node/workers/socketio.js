// Socket.IO over several workers: @socket.io/sticky (or the one that the argument names) and @socket.io/cluster-adapter, as their READMEs
// have it.
'use strict';
const cluster = require('node:cluster');
const http = require('node:http');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/cluster-adapter');
const { setupWorker } = require(process.argv[2] || '@socket.io/sticky');

if (!cluster.isWorker) throw new Error('not a worker');
const server = http.createServer((request, response) => {
  let received = 0;
  request.on('data', (chunk) => { received += chunk.length; });
  request.on('end', () => {
    const body = JSON.stringify({ pid: process.pid, slot: Number(process.env.NODE_APP_INSTANCE), received });
    response.setHeader('Content-Length', Buffer.byteLength(body));
    response.end(body);
  });
});
const io = new Server(server, { maxHttpBufferSize: 8e6 });
io.adapter(createAdapter());
setupWorker(io);
io.on('connection', (socket) => {
  socket.on('whoami', (reply) => reply(process.pid));
  socket.on('broadcast', (text, reply) => { io.emit('broadcast', text); reply(); });
  socket.on('bytes', (bytes, reply) => { io.emit('bytes', bytes); reply(); });
  socket.on('join', (room, reply) => { socket.join(room); reply(); });
  socket.on('to', (room, text) => io.to(room).emit('room', text));
  socket.on('size', (data, reply) => reply(data.length));
  socket.on('everybody', async (reply) => {
    try {
      reply({ ids: (await io.fetchSockets()).map((other) => other.id) });
    } catch (error) { reply({ error: String(error) }); }
  });
  socket.on('pids', (reply) => {
    io.serverSideEmit('pid', (error, pids) => reply(error ? { error: String(error) } : { pids: [...pids, process.pid] }));
  });
});
io.on('pid', (reply) => reply(process.pid));
// The dialect that is by message tells nobody when it is there.
process.send('ready');
