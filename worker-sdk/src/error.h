#pragma once

/* The text of this thread's last failure: what was attempted, why it failed, what to do. */
void hf_set_error(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* The text so far, for a caller that wants to say it in an event. */
const char* hf_last_error(void);
