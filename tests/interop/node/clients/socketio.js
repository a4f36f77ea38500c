// Clients of workers/socketio.js, each from an address of its own, or, "roaming", from another with each connection. Arguments: a URL, how
// many clients, the transports (polling, websocket, upgrade), how many workers, "kill" to end one of them at last, the serialization, and
// "roaming". Exits with 0 if everything has come that several workers together owe their clients.
'use strict';
const assert = require('node:assert');
const http = require('node:http');
const net = require('node:net');
const { io } = require('socket.io-client');

const [url, count, how] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const transports = how === 'upgrade' ? ['polling', 'websocket'] : [how];
const roaming = process.argv[8] === 'roaming';
const patience = 30000;

const once = (socket, event) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`no ${event} for ${socket.id}`)), patience);
  socket.once(event, (value) => { clearTimeout(timer); resolve(value); });
});
const ask = (socket, event, ...args) => socket.timeout(patience).emitWithAck(event, ...args);

let last = 0;
function agentOf(index) {
  if (!roaming) return new http.Agent({ localAddress: `127.0.1.${1 + index}`, keepAlive: true });
  const agent = new http.Agent();
  agent.createConnection = (options) => net.connect({ ...options, localAddress: `127.0.3.${1 + last++ % 250}` });
  return agent;
}

async function connect(_, index) {
  const agent = agentOf(index);
  const socket = io(url, { transports, agent, reconnection: false, forceNew: true });
  socket.on('connect_error', (error) => { throw error; });
  socket.on('disconnect', (reason) => { if (!leaving) throw new Error(`disconnected: ${reason}`); });
  await once(socket, 'connect');
  if (how === 'upgrade' && socket.io.engine.transport.name !== 'websocket') {
    await new Promise((resolve) => socket.io.engine.once('upgrade', resolve));
  }
  return socket;
}
let leaving = false;

async function main() {
  const sockets = await Promise.all(Array.from({ length: count }, connect));
  const pids = await Promise.all(sockets.map((socket) => ask(socket, 'whoami')));
  const workers = new Set(pids);
  console.log(`workers ${workers.size}`);
  assert.strictEqual(workers.size, Number(process.argv[5]), 'workers that have clients');

  const heard = sockets.map((socket) => once(socket, 'broadcast'));
  await ask(sockets[0], 'broadcast', 'half a pair: \ud83d');
  for (const text of await Promise.all(heard)) assert.strictEqual(text, 'half a pair: \ud83d');

  // Bytes stay bytes on the way to other workers where the channel knows them; in JSON they become an object.
  const bytes = sockets.map((socket) => once(socket, 'bytes'));
  await ask(sockets[0], 'bytes', Buffer.from([1, 2, 3]));
  const unlike = (await Promise.all(bytes)).filter((value) => !Buffer.isBuffer(value)).length;
  if (process.argv[7] === 'advanced') assert.strictEqual(unlike, 0, 'bytes that came as something else');

  const first = sockets[0];
  const other = sockets[pids.findIndex((pid) => pid !== pids[0])] || first;
  await ask(other, 'join', 'room');
  const inRoom = once(other, 'room');
  first.emit('to', 'room', 'x'.repeat(300000));
  assert.strictEqual((await inRoom).length, 300000);

  assert.strictEqual(await ask(first, 'size', 'y'.repeat(3000000)), 3000000, 'a large message');
  const everybody = await ask(first, 'everybody');
  assert.deepStrictEqual([...everybody.ids].sort(), sockets.map((socket) => socket.id).sort(), 'fetchSockets');
  const answered = await ask(first, 'pids');
  assert.strictEqual(answered.pids.length, workers.size, `serverSideEmit ${JSON.stringify(answered)}`);
  // Still who they were.
  assert.deepStrictEqual(await Promise.all(sockets.map((socket) => ask(socket, 'whoami'))), pids);
  leaving = true;
  if (process.argv[6] === 'kill') {
    const survivors = sockets.filter((_, index) => pids[index] === pids[0]);
    process.kill(pids.find((pid) => pid !== pids[0]), 'SIGKILL');
    const left = await ask(first, 'everybody');
    assert.deepStrictEqual([...(left.ids || [left.error])].sort(), survivors.map((socket) => socket.id).sort(), 'after a kill');
  }
  for (const socket of sockets) socket.disconnect();
}

main().then(() => process.exit(0), (error) => { console.log(String(error && error.stack)); process.exit(1); });
