/* What bus.c (the calls) and bus_receive.c (what comes) share. */
#pragma once

#include <holdfast/bus.h>
#include <holdfast/bus_channel.h>
#include <stdbool.h>

#include "internal.h"

/* The program was told -EAGAIN: it hears of it when there is room again, though nothing of its own may wait to go out by
 * then, or it has said something smaller meanwhile. hf_next finds that the channel is writable also where nobody had looked
 * at hf_fd: so hf_fd stays readable for one turn more (ROOM_SHOWN). */
enum hf_bus_refusal { HF_BUS_NO_REFUSAL, HF_BUS_REFUSED, HF_BUS_ROOM_UNTOLD, HF_BUS_ROOM_SHOWN };

struct hf_bus {
  int descriptor; /* -1: it has ended */
  bool welcomed;
  uint32_t member; /* who we are there */
  uint32_t watched;

  /* What goes out: one frame that grows, and the memfds that belong to it. */
  uint32_t out_length; /* 0: empty */
  uint16_t out_count;
  unsigned out_descriptors;
  int out_descriptor[HF_BUS_MAX_MEMFDS];
  uint64_t last_call;
  enum hf_bus_refusal refusal;

  /* What came: the frame that is being given out. */
  uint32_t in_length;
  uint32_t in_offset; /* of the next record */
  uint16_t in_left;
  unsigned frames; /* read in this turn */
  unsigned in_descriptors;
  unsigned in_descriptor_next;
  int in_descriptor[HF_MAX_DESCRIPTORS];
  void* map; /* of the message that was given out last, if it is a large one */
  size_t map_size;

  /* The pools, as HF_BUS_MEMBERS brought them: hf_bus_pool records. */
  unsigned char* members;
  size_t members_size;
  bool members_known;
  unsigned char* coming; /* a list of which more frames are to come */
  size_t coming_size;

  _Alignas(8) unsigned char out[HF_BUS_MAX_FRAME];
  _Alignas(8) unsigned char in[HF_BUS_MAX_FRAME];
};

void hf_bus_end(struct hf_bus* bus);
