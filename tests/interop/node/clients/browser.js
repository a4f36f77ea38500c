// Two tabs of a headless Chromium chat over examples/node-socketio; then their worker is killed, and they chat on. Arguments: the URL,
// and the program. Speaks the DevTools protocol itself.
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const WebSocket = require('ws');

const [url, program] = process.argv.slice(2);
const patience = 60000;

async function until(what, ask) {
  for (const end = Date.now() + patience; Date.now() < end;) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never: ${what}`);
}

class Browser {
  static async open() {
    const browser = new Browser();
    browser.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-chromium-'));
    browser.process = spawn(program, ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
      '--remote-debugging-port=0', `--user-data-dir=${browser.profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    let said = '';
    browser.process.stderr.on('data', (text) => { said += text; });
    const address = await until('the browser opens its port', () => (said.match(/DevTools listening on (ws:\S+)/) || [])[1]);
    browser.socket = new WebSocket(address, { perMessageDeflate: false });
    browser.waiting = new Map();
    browser.last = 0;
    browser.socket.on('message', (text) => {
      const message = JSON.parse(text);
      const done = browser.waiting.get(message.id);
      if (done) done(message);
    });
    await new Promise((resolve, reject) => browser.socket.once('open', resolve).once('error', reject));
    return browser;
  }

  ask(method, params = {}, sessionId = undefined) {
    const id = ++this.last;
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => this.waiting.set(id, (message) => {
      this.waiting.delete(id);
      if (message.error) reject(new Error(`${method}: ${message.error.message}`)); else resolve(message.result);
    }));
  }

  async tab() {
    const { targetId } = await this.ask('Target.createTarget', { url });
    const { sessionId } = await this.ask('Target.attachToTarget', { targetId, flatten: true });
    return async (expression) => (await this.ask('Runtime.evaluate', { expression, returnByValue: true }, sessionId)).result.value;
  }

  close() {
    process.kill(-this.process.pid, 'SIGKILL'); // its children write into the profile, too
    this.process.once('exit', () => fs.rmSync(this.profile, { recursive: true, force: true, maxRetries: 15 }));
  }
}

const textOf = (id) => `(document.getElementById(${JSON.stringify(id)}) || {}).textContent`;
const connected = (tab) => until('a tab is connected', async () => await tab(textOf('state')) === 'connected' && Number(await tab(textOf('worker'))));
async function chat(from, to, text) {
  await from(`document.getElementById('text').value = ${JSON.stringify(text)}; document.querySelector('button').click()`);
  await until(`the other tab shows ${text}`, async () => (await to(textOf('messages')) || '').includes(text));
}

async function main() {
  const browser = await Browser.open();
  try {
    const [one, other] = [await browser.tab(), await browser.tab()];
    const before = await connected(one);
    await connected(other);
    await chat(one, other, 'first words');
    await chat(other, one, 'an answer');
    process.kill(before, 'SIGKILL');
    await until('a tab has another worker', async () => (await connected(one)) !== before && (await connected(other)) !== before);
    await chat(one, other, 'after the crash');
    await chat(other, one, 'here as well');
    console.log('chatted');
  } finally {
    browser.close();
  }
}

main().then(() => { process.exitCode = 0; setTimeout(() => process.exit(), 3000); },
  (error) => { console.log(String(error && error.stack)); process.exit(1); });
