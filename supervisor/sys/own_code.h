#pragma once

namespace holdfast {

// Unmaps the code that was needed so far, ours and our libraries': to read a command line and a configuration takes more of it
// than all the service that follows, and it would count as resident for ever. What is needed again comes back from the page cache,
// at a fault for 64 KiB. A debugger's breakpoints that were set before are lost.
void forget_used_code();

}  // namespace holdfast
