// A web server for several processes, as the documentation of `cluster` has it: nothing in it is for Holdfast.
'use strict';
const cluster = require('node:cluster');
const http = require('node:http');
const os = require('node:os');

if (cluster.isPrimary) {
  // Not reached under Holdfast: there every process is a worker, and Holdfast does this.
  for (let i = 0; i < os.availableParallelism(); i++) cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  http.createServer((request, response) => {
    response.end(`worker ${cluster.worker.id}, pid ${process.pid}\n`);
  }).listen(3000);
}
