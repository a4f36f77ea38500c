/* echo: sends back what it reads. The whole of the C SDK that a server needs, in one epoll loop. */
#include <errno.h>
#include <holdfast/worker.h>
#include <stdio.h>
#include <sys/epoll.h>

static int epoll;
static unsigned long connections;
static int leaving;

static void on_connection(struct hf_worker* worker, int fd) {
  struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fd};
  ++connections;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0) return;
  --connections;
  hf_release(worker, fd);
}

static void on_data(struct hf_worker* worker, int fd) {
  char bytes[4096];
  const ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return;
  /* A client that does not read what it is sent is dropped: an example keeps no buffers. */
  if (size > 0 && send(fd, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) == size) return;
  --connections;
  epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); /* close alone does not, while the supervisor has its copy open */
  hf_release(worker, fd);
}

int main(int argc, char** argv) {
  const char* address = argc > 1 ? argv[1] : NULL; /* echo :7777 listens by itself when there is no supervisor */
  const struct hf_options options = {.size = sizeof options, .standalone = &address, .standalone_count = argc > 1};
  struct hf_worker* worker;
  if (hf_open(&options, &worker) < 0) {
    fprintf(stderr, "echo: %s\n", hf_error_text());
    return 1;
  }
  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event wanted = {.events = EPOLLIN, .data.fd = hf_fd(worker)};
  epoll_ctl(epoll, EPOLL_CTL_ADD, hf_fd(worker), &wanted);
  hf_ready(worker);
  while (!leaving || connections > 0) {
    struct epoll_event ready;
    if (epoll_wait(epoll, &ready, 1, -1) != 1) continue;
    if (ready.data.fd != hf_fd(worker)) {
      on_data(worker, ready.data.fd);
      continue;
    }
    for (struct hf_event event; hf_next(worker, &event) != HF_EVENT_NONE;) {
      if (event.type == HF_EVENT_CONNECTION) on_connection(worker, event.connection.fd);
      if (event.type == HF_EVENT_DRAIN || event.type == HF_EVENT_GONE) leaving = 1;
    }
  }
  hf_drained(worker);
  hf_close(worker);
  return 0;
}
