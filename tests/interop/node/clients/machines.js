// A client of each of two machines: what one says the other hears, and both hear what a script says. Arguments: the two URLs, and the
// command of the script, which says "from a script".
'use strict';
const { execFileSync } = require('node:child_process');
const { io } = require('socket.io-client');

const [one, other, program, ...words] = process.argv.slice(2);
const patience = 60000;

function client(url) {
  const socket = io(url, { transports: ['websocket'] });
  socket.heard = [];
  socket.on('message', (text) => socket.heard.push(text));
  return socket;
}

async function until(what, holds) {
  for (const end = Date.now() + patience; Date.now() < end;) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never: ${what}`);
}

const count = (socket, text) => socket.heard.filter((heard) => heard.endsWith(text)).length;

async function main() {
  const clients = [client(one), client(other)];
  await until('both are connected', () => clients.every((socket) => socket.connected));
  clients[0].emit('message', 'from the oak');
  clients[1].emit('message', 'from the elm');
  for (const text of ['from the oak', 'from the elm']) {
    await until(`both hear ${text}`, () => clients.every((socket) => count(socket, text) === 1));
  }
  execFileSync(program, words, { stdio: 'inherit' });
  await until('both hear the script', () => clients.every((socket) => count(socket, 'from a script') === 1));
  // Whatever would come twice has come by now: the same way, behind it.
  clients[0].emit('message', 'the end');
  await until('both hear the end', () => clients.every((socket) => count(socket, 'the end') === 1));
  if (!clients.every((socket) => socket.heard.length === 4)) throw new Error(`heard ${JSON.stringify(clients.map((socket) => socket.heard))}`);
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
