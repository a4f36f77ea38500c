#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

static _Thread_local char text[512];

void hf_set_error(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments); /* a text that is too long is cut: it is for reading only */
  va_end(arguments);
}

const char* hf_error_text(void) { return text; }
