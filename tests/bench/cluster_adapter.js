// Fan-out as Socket.IO does it on one machine: one worker says something to all others over @socket.io/cluster-adapter, whose messages go
// through the primary and Node's IPC. Arguments: messages, bytes, workers. Prints deliveries and the seconds that they took, as JSON.
'use strict';
const cluster = require('node:cluster');
const { Server } = require('socket.io');
const { createAdapter, setupPrimary } = require('@socket.io/cluster-adapter');

const [messages, bytes, workers] = process.argv.slice(2).map(Number);
const AT_ONCE = 100; // between two turns of the publisher's loop: it must not only fill its memory

function primary() {
  setupPrimary();
  let ready = 0;
  let done = 0;
  let begun;
  const all = [];
  for (let i = 0; i < workers; i++) {
    const worker = cluster.fork();
    all.push(worker);
    worker.on('message', (what) => {
      if (what === 'ready' && ++ready === workers) {
        begun = process.hrtime.bigint();
        all[0].send('go');
      }
      if (what === 'done' && ++done === workers - 1) {
        const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
        console.log(JSON.stringify({ deliveries: messages * (workers - 1), seconds }));
        process.exit(0);
      }
    });
  }
}

function worker() {
  const io = new Server();
  io.adapter(createAdapter());
  io.of('/'); // makes the adapter
  let heard = 0;
  io.on('said', () => { if (++heard === messages) process.send('done'); });
  const payload = 'x'.repeat(bytes);
  process.on('message', (what) => {
    if (what !== 'go') return;
    let sent = 0;
    const some = () => {
      for (let i = 0; i < AT_ONCE && sent < messages; i++, sent++) io.serverSideEmit('said', payload);
      if (sent < messages) setImmediate(some);
    };
    some();
  });
  // The adapters know each other by their first messages: give them time for it.
  setTimeout(() => process.send('ready'), 1000);
}

if (cluster.isPrimary) primary(); else worker();
