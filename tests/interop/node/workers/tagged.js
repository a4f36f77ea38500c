// Answers a session id of its own, which brings whoever shows it back.
'use strict';
const http = require('node:http');
const { slot, tag } = require('../../../../worker-sdk/node');

http
  .createServer((request, response) => {
    const body = JSON.stringify({ slot, pid: process.pid, sid: tag('session-1') });
    response.writeHead(200, { 'Content-Length': Buffer.byteLength(body), Connection: 'close' });
    response.end(body);
  })
  .listen(3000);
