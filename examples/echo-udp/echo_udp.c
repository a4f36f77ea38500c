/* echo-udp: sends datagrams back. What a UDP server needs of the C SDK. */
#include <errno.h>
#include <holdfast/worker.h>
#include <stdio.h>

enum { TURN = 64 }; /* datagrams of one event, before the SDK gets its turn: what is left is reported again */

static void answer(const struct hf_worker* worker, int fd) {
  char bytes[65536];
  const int head = snprintf(bytes, sizeof bytes, "slot %u: ", (unsigned)hf_info(worker)->slot);
  for (int i = 0; i < TURN; ++i) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    const ssize_t size =
        recvfrom(fd, bytes + head, sizeof bytes - (size_t)head, MSG_DONTWAIT, (struct sockaddr*)&peer, &length);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    /* UDP promises nothing: an answer for which there is no room is lost like one on the way. */
    if (size >= 0) (void)sendto(fd, bytes, (size_t)(head + size), MSG_DONTWAIT, (struct sockaddr*)&peer, length);
  }
}

int main(int argc, char** argv) {
  const char* address = argc > 1 ? argv[1] : NULL; /* echo-udp udp://:7777 binds by itself without a supervisor */
  const struct hf_options options = {
      .size = sizeof options, .standalone = &address, .standalone_count = argc > 1, .flags = HF_OPEN_DATAGRAMS};
  struct hf_worker* worker;
  if (hf_open(&options, &worker) < 0) {
    fprintf(stderr, "echo-udp: %s\n", hf_error_text());
    return 1;
  }
  hf_ready(worker);
  for (int leaving = 0; !leaving;) {
    hf_wait(worker, -1);
    for (struct hf_event event; hf_next(worker, &event) != HF_EVENT_NONE;) {
      if (event.type == HF_EVENT_DATAGRAM) answer(worker, event.connection.fd);
      if (event.type == HF_EVENT_CONNECTION) hf_release(worker, event.connection.fd); /* of a TCP listener: not ours */
      if (event.type == HF_EVENT_DRAIN || event.type == HF_EVENT_GONE) leaving = 1;
    }
  }
  hf_drained(worker);
  hf_close(worker);
  return 0;
}
