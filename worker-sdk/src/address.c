#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "internal.h"

/* "addr:port" without snprintf, because servers call this for each connection. */
static char* append_port(char* end, uint16_t port) {
  char digits[5];
  int count = 0;
  do {
    digits[count++] = (char)('0' + port % 10);
    port = (uint16_t)(port / 10);
  } while (port != 0);
  *end++ = ':';
  while (count > 0) *end++ = digits[--count];
  *end = '\0';
  return end;
}

const char* hf_address_text(const union hf_address* address, char* buffer) {
  switch (address->generic.sa_family) {
    case AF_INET:
      (void)inet_ntop(AF_INET, &address->ipv4.sin_addr, buffer, INET_ADDRSTRLEN);
      (void)append_port(buffer + strlen(buffer), ntohs(address->ipv4.sin_port));
      return buffer;
    case AF_INET6: {
      buffer[0] = '[';
      (void)inet_ntop(AF_INET6, &address->ipv6.sin6_addr, buffer + 1, INET6_ADDRSTRLEN);
      char* end = buffer + strlen(buffer);
      *end++ = ']';
      (void)append_port(end, ntohs(address->ipv6.sin6_port));
      return buffer;
    }
    case AF_UNIX:
      return strcpy(buffer, "unix");
    default:
      return strcpy(buffer, "unknown");
  }
}

const char* hf_plane_text(enum hf_plane plane) {
  switch (plane) {
    case HF_PLANE_PASS:
      return "pass";
    case HF_PLANE_STEER:
      return "steer";
    case HF_PLANE_SELF:
      return "self";
  }
  return "unknown";
}

static socklen_t refuse(const char* text) {
  hf_set_error(
      "listen on \"%.200s\": not an address; write :8080, 127.0.0.1:8080, [::1]:8080, udp://:5353 or unix:/path", text);
  return 0;
}

bool hf_is_udp(const char* text) { return strncmp(text, HF_UDP, strlen(HF_UDP)) == 0; }

static socklen_t parse_unix(const char* text, const char* path, struct sockaddr_un* address) {
  const size_t length = strlen(path);
  if (length == 0) return refuse(text);
  if (length >= sizeof address->sun_path) {
    hf_set_error("listen on \"%.200s\": the path is longer than %zu bytes", text, sizeof address->sun_path - 1);
    return 0;
  }
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, length + 1);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

socklen_t hf_parse_address(const char* text, struct sockaddr_storage* address) {
  memset(address, 0, sizeof *address);
  if (strncmp(text, HF_UNIX, strlen(HF_UNIX)) == 0)
    return parse_unix(text, text + strlen(HF_UNIX), (struct sockaddr_un*)address);

  const char* start = hf_is_udp(text) ? text + strlen(HF_UDP) : text;
  const char* colon = strrchr(start, ':');
  if (colon == NULL || colon[1] < '0' || colon[1] > '9') return refuse(text);
  char* end = NULL;
  errno = 0;
  const unsigned long port = strtoul(colon + 1, &end, 10);
  if (errno != 0 || *end != '\0' || port > UINT16_MAX) return refuse(text);

  char host[INET6_ADDRSTRLEN + 2];
  const size_t length = (size_t)(colon - start);
  if (length >= sizeof host) return refuse(text);
  memcpy(host, start, length);
  host[length] = '\0';

  struct sockaddr_in6* ipv6 = (struct sockaddr_in6*)address;
  struct sockaddr_in* ipv4 = (struct sockaddr_in*)address;
  if (length == 0) { /* every address, both families */
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons((uint16_t)port);
    return sizeof *ipv6;
  }
  if (host[0] == '[' && host[length - 1] == ']') {
    host[length - 1] = '\0';
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons((uint16_t)port);
    return inet_pton(AF_INET6, host + 1, &ipv6->sin6_addr) == 1 ? (socklen_t)sizeof *ipv6 : refuse(text);
  }
  ipv4->sin_family = AF_INET;
  ipv4->sin_port = htons((uint16_t)port);
  return inet_pton(AF_INET, host, &ipv4->sin_addr) == 1 ? (socklen_t)sizeof *ipv4 : refuse(text);
}
