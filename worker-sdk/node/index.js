// For Node.js workers under Holdfast. A worker needs none of this to be served: it listens as it always did.
'use strict';

// The worker's slot, from 0; undefined where there is no Holdfast.
const slot = process.env.HOLDFAST_SLOT === undefined ? undefined : Number(process.env.HOLDFAST_SLOT);

// "ID~SLOT": a session id from which a pool with `key = ["tagged(query(sid))"]` sees which worker has made it, so that whoever
// shows it comes straight back, from whatever address. Without Holdfast it is the id as it is.
//
//   io.engine.generateId = () => tag(crypto.randomUUID());
//
// Throws for an id that has a '~' already.
function tag(id) {
  if (String(id).includes('~')) throw new RangeError(`tag a session id: "${id}" has a '~', which separates the slot`);
  return slot === undefined ? String(id) : `${id}~${slot}`;
}

module.exports = { slot, tag };
