/* SPDX-License-Identifier: MIT */
/*
 * Two virtual sound cards joined by a cable: what is played into the one is captured
 * by the other at the same moment, as its own clock picks it.
 *
 *   pcm.NAME {              one for playback, one for capture, on the same cable
 *     type edgeloop
 *     cable "file"          made if missing; shared memory between both ends
 *     cable_rate 48000      the same at both ends; best the playing card's rate
 *     rate 48000  channels 1  format "S16_LE" (or "S32_LE")
 *     ppm -37               this card's clock against CLOCK_MONOTONIC
 *     most_frames 2048      its buffer holds no more; 0, or nothing said: half the cable
 *     gone "flag"           unplugged while this file exists
 *     stuck "flag"          this card's clock stands still while this file exists
 *     log "xruns"           each xrun appends the number of frames it lasted; the card's lock too
 *   }
 *
 * A slot of the cable holds what is on it during one period of `cable_rate`, with the
 * number of that period since CLOCK_MONOTONIC's zero: a slot with another number is
 * silence. Whoever writes to the playing card knows when it will be heard, and fills the
 * slots then; whoever reads from the capturing one finds them. Samples are held, not
 * interpolated: two clocks that differ repeat or skip one now and then.
 */
#include "card.h"
#include <stdatomic.h>
#include <sys/mman.h>

#define SLOTS (1 << 17)
#define MOST_CHANNELS 8

typedef struct {
  _Atomic int64_t number;
  int32_t samples[MOST_CHANNELS];
} slot_t;

typedef struct {
  snd_pcm_ioplug_t io;
  int playing; /* else capturing */
  int lock_fd, timer_fd;
  char *gone, *stuck, *log;
  slot_t *cable;
  double cable_rate_hz, rate_hz; /* true rate: nominal x (1 + ppm / 1e6) */
  int clock_set, running, starved;
  int lost; /* it was unplugged: only who opens it anew finds it again */
  int64_t epoch_slot; /* slot at card frame 0, */
  double epoch_s;     /* and its time */
  int64_t start;      /* card frame at which the stream was started last */
  int64_t moved;      /* frames read or written since it was prepared, */
  int64_t sent;       /* and those that are on the cable */
  snd_pcm_sframes_t pointer; /* told last */
  size_t frame_bytes;
  char *memory; /* the playing card's buffer */
} edgeloop_t;

static int64_t card_frame(const edgeloop_t *loop) {
  return (int64_t)floor((monotonic_s() - loop->epoch_s) * loop->rate_hz);
}

static int64_t slot_of(const edgeloop_t *loop, int64_t frame) {
  return loop->epoch_slot + (int64_t)floor((double)frame * loop->cable_rate_hz / loop->rate_hz);
}

static int32_t sample_at(const char *at, snd_pcm_format_t format) {
  if (format == SND_PCM_FORMAT_S16_LE)
    return (int32_t)(*(const int16_t *)at * 65536);
  return *(const int32_t *)at;
}

static void put_sample(char *at, snd_pcm_format_t format, int32_t sample) {
  if (format == SND_PCM_FORMAT_S16_LE)
    *(int16_t *)at = (int16_t)(sample >> 16);
  else
    *(int32_t *)at = sample;
}

static char *place(const edgeloop_t *loop, int64_t frame) {
  return loop->memory + (size_t)(frame % (int64_t)loop->io.buffer_size) * loop->frame_bytes;
}

/* Put what was written on the cable, for the time at which it will be heard. */
static void send(edgeloop_t *loop) {
  size_t width = loop->frame_bytes / loop->io.channels;
  for (; loop->sent < loop->moved; loop->sent++) {
    const char *frame = place(loop, loop->sent);
    int64_t last = slot_of(loop, loop->start + loop->sent + 1);
    for (int64_t number = slot_of(loop, loop->start + loop->sent); number < last; number++) {
      slot_t *slot = &loop->cable[number % SLOTS];
      for (unsigned int channel = 0; channel < MOST_CHANNELS; channel++)
        slot->samples[channel] =
            channel < loop->io.channels ? sample_at(frame + channel * width, loop->io.format) : 0;
      atomic_store_explicit(&slot->number, number, memory_order_release);
    }
  }
}

/* Take off the cable what was to be heard later. */
static void recall(edgeloop_t *loop) {
  int64_t last = slot_of(loop, loop->start + loop->sent);
  for (int64_t number = slot_of(loop, card_frame(loop)); number < last; number++)
    atomic_store_explicit(&loop->cable[number % SLOTS].number, 0, memory_order_release);
}

static void receive(const edgeloop_t *loop, char *to, int64_t from, int64_t count) {
  size_t width = loop->frame_bytes / loop->io.channels;
  for (int64_t frame = from; frame < from + count; frame++) {
    int64_t number = slot_of(loop, frame);
    const slot_t *slot = &loop->cable[number % SLOTS];
    int there = atomic_load_explicit(&slot->number, memory_order_acquire) == number;
    for (unsigned int channel = 0; channel < loop->io.channels; channel++, to += width)
      put_sample(to, loop->io.format,
                 there && channel < MOST_CHANNELS ? slot->samples[channel] : 0);
  }
}

/*
 * The next interrupt: a period was captured, or there is room for one. A card's
 * interrupts come at its period boundaries, whatever was moved in between.
 */
static void arm(edgeloop_t *loop) {
  int64_t period = (int64_t)loop->io.period_size;
  int64_t due = (loop->moved / period + 1) * period;
  if (loop->playing) {
    int64_t room = loop->moved + period - (int64_t)loop->io.buffer_size;
    due = (room + period - 1) / period * period;
  }
  arm_at(loop->timer_fd, loop->epoch_s + (double)(loop->start + due) / loop->rate_hz);
}

/*
 * A card moves samples in bursts, here eight a period. Were each one told at once,
 * alsa-lib would read one sample after the other and never sleep.
 */
static int64_t told(const edgeloop_t *loop, int64_t elapsed) {
  int64_t period = (int64_t)loop->io.period_size, burst = period > 8 ? period / 8 : 1;
  return elapsed - elapsed % period % burst;
}

static int absent(edgeloop_t *loop) {
  if (!loop->lost && !flagged(loop->gone))
    return 0;
  loop->lost = 1;
  snd_pcm_ioplug_set_state(&loop->io, SND_PCM_STATE_DISCONNECTED);
  return -ENODEV;
}

static int edgeloop_start(snd_pcm_ioplug_t *io) {
  edgeloop_t *loop = io->private_data;
  int error = absent(loop);
  if (error)
    return error;
  if (!loop->clock_set) {
    loop->epoch_slot = (int64_t)floor(monotonic_s() * loop->cable_rate_hz);
    loop->epoch_s = (double)loop->epoch_slot / loop->cable_rate_hz;
    loop->clock_set = 1;
  }
  int64_t stopped = loop->start;
  loop->start = card_frame(loop);
  if (loop->starved)
    append_number(loop->log, loop->start - stopped);
  loop->starved = 0;
  loop->running = 1;
  if (loop->playing)
    send(loop);
  arm(loop);
  return 0;
}

static int edgeloop_stop(snd_pcm_ioplug_t *io) {
  edgeloop_t *loop = io->private_data;
  if (loop->running && loop->playing)
    recall(loop);
  loop->running = 0;
  disarm(loop->timer_fd);
  return 0;
}

static int edgeloop_prepare(snd_pcm_ioplug_t *io) {
  edgeloop_t *loop = io->private_data;
  int error = absent(loop);
  if (error)
    return error;
  loop->frame_bytes = (size_t)snd_pcm_format_physical_width(io->format) / 8 * io->channels;
  char *memory = realloc(loop->memory, io->buffer_size * loop->frame_bytes);
  if (!memory)
    return -ENOMEM;
  loop->memory = memory;
  if (loop->starved) /* where the stream stopped, for the log */
    loop->start += loop->moved;
  loop->moved = loop->sent = loop->pointer = 0;
  loop->running = 0; /* alsa-lib prepares after an xrun without a stop */
  disarm(loop->timer_fd);
  if (loop->playing) /* there is room before it starts */
    arm_at(loop->timer_fd, monotonic_s());
  return 0;
}

static snd_pcm_sframes_t edgeloop_pointer(snd_pcm_ioplug_t *io) {
  edgeloop_t *loop = io->private_data;
  int error = absent(loop);
  if (error)
    return error;
  if (!loop->running || flagged(loop->stuck))
    return loop->pointer;
  int64_t elapsed = card_frame(loop) - loop->start;
  int64_t most = loop->playing ? loop->moved : loop->moved + (int64_t)io->buffer_size;
  if (elapsed >= most) { /* a card stops here */
    loop->starved = 1;
    return -EPIPE;
  }
  loop->pointer = told(loop, elapsed) % (int64_t)io->buffer_size;
  return loop->pointer;
}

static snd_pcm_sframes_t edgeloop_transfer(snd_pcm_ioplug_t *io,
                                           const snd_pcm_channel_area_t *areas,
                                           snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
  edgeloop_t *loop = io->private_data;
  int error = absent(loop);
  if (error)
    return error;
  char *data = (char *)areas->addr + (areas->first + areas->step * offset) / 8;
  if (!loop->playing) {
    receive(loop, data, loop->start + loop->moved, (int64_t)size);
  } else {
    for (snd_pcm_uframes_t n = 0; n < size; n++, data += loop->frame_bytes)
      memcpy(place(loop, loop->moved + (int64_t)n), data, loop->frame_bytes);
  }
  loop->moved += (int64_t)size;
  if (loop->running) {
    if (loop->playing)
      send(loop);
    arm(loop);
  }
  return (snd_pcm_sframes_t)size;
}

static int edgeloop_drain(snd_pcm_ioplug_t *io) {
  edgeloop_t *loop = io->private_data;
  const struct timespec moment = {0, 1000000};
  if (!loop->running && loop->moved) /* less than a buffer was written, and that was all */
    edgeloop_start(io);
  while (!absent(loop) && loop->running &&
         (flagged(loop->stuck) || card_frame(loop) < loop->start + loop->moved))
    nanosleep(&moment, NULL);
  return absent(loop);
}

static int edgeloop_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *polled, unsigned int n,
                                 unsigned short *revents) {
  edgeloop_t *loop = io->private_data;
  (void)n;
  *revents = 0;
  if (loop->lost || flagged(loop->gone))
    *revents = POLLERR;
  else if (flagged(loop->stuck))
    arm_at(loop->timer_fd, monotonic_s() + 0.01);
  else if (polled->revents & POLLIN)
    *revents = loop->playing ? POLLOUT : POLLIN;
  return 0;
}

static void release(edgeloop_t *loop) {
  if (loop->cable)
    munmap(loop->cable, SLOTS * sizeof(slot_t));
  if (loop->lock_fd >= 0)
    close(loop->lock_fd);
  if (loop->timer_fd >= 0)
    close(loop->timer_fd);
  free(loop->memory);
  free(loop->gone);
  free(loop->stuck);
  free(loop->log);
  free(loop);
}

static int edgeloop_close(snd_pcm_ioplug_t *io) {
  release(io->private_data);
  return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {.start = edgeloop_start,
                                                    .stop = edgeloop_stop,
                                                    .prepare = edgeloop_prepare,
                                                    .pointer = edgeloop_pointer,
                                                    .transfer = edgeloop_transfer,
                                                    .drain = edgeloop_drain,
                                                    .poll_revents = edgeloop_poll_revents,
                                                    .close = edgeloop_close};

typedef struct {
  const char *cable, *gone, *stuck, *log, *format;
  long cable_rate, rate, channels, ppm, most_frames;
} settings_t;

static int read_setting(snd_config_t *node, const char *id, settings_t *out) {
  struct {
    const char *id, **text;
    long *number;
  } known[] = {{"cable", &out->cable, NULL},           {"gone", &out->gone, NULL},
               {"stuck", &out->stuck, NULL},           {"log", &out->log, NULL},
               {"format", &out->format, NULL},         {"cable_rate", NULL, &out->cable_rate},
               {"rate", NULL, &out->rate},             {"channels", NULL, &out->channels},
               {"ppm", NULL, &out->ppm},               {"most_frames", NULL, &out->most_frames}};
  if (!strcmp(id, "comment") || !strcmp(id, "type") || !strcmp(id, "hint"))
    return 0;
  for (size_t n = 0; n < sizeof known / sizeof *known; n++)
    if (!strcmp(id, known[n].id))
      return known[n].text ? snd_config_get_string(node, known[n].text)
                           : snd_config_get_integer(node, known[n].number);
  SNDERR("edgeloop: unknown field %s", id);
  return -EINVAL;
}

static int check(const settings_t *s) {
  int format = snd_pcm_format_value(s->format);
  if (!s->cable || !s->log || s->rate < 1000 || s->rate > 768000 || s->cable_rate < 1000 ||
      s->cable_rate > 768000 || s->channels < 1 || s->channels > MOST_CHANNELS ||
      s->ppm < -100000 || s->ppm > 100000 || (s->most_frames && s->most_frames < 32) ||
      (format != SND_PCM_FORMAT_S16_LE && format != SND_PCM_FORMAT_S32_LE)) {
    SNDERR("edgeloop: cable, log, rates, channels, format, ppm or most_frames is missing or "
           "out of range");
    return -EINVAL;
  }
  return 0;
}

/* Half the cable: one end writes so far ahead, while the other reads as far behind. */
static int bound_buffer(snd_pcm_ioplug_t *io, const settings_t *s) {
  int width = snd_pcm_format_physical_width(snd_pcm_format_value(s->format)) / 8;
  unsigned int frame = (unsigned int)(width * s->channels);
  long most = (long)(SLOTS / 2 * (double)s->rate / (double)s->cable_rate);
  if (s->most_frames && s->most_frames < most)
    most = s->most_frames;
  return snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 32 * frame,
                                         (unsigned int)most * frame);
}

static int open_files(edgeloop_t *loop, const settings_t *s) {
  int fd = open(s->cable, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0)
    return -errno;
  void *cable = MAP_FAILED;
  if (ftruncate(fd, SLOTS * sizeof(slot_t)) == 0)
    cable = mmap(NULL, SLOTS * sizeof(slot_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (cable == MAP_FAILED)
    return -errno;
  loop->cable = cable;
  loop->lock_fd = open(s->log, O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
  if (loop->lock_fd < 0)
    return -errno;
  if (flock(loop->lock_fd, LOCK_EX | LOCK_NB) < 0) /* one program at a time, as with a card */
    return -EBUSY;
  loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  return loop->timer_fd < 0 ? -errno : 0;
}

static edgeloop_t *make(const settings_t *s, snd_pcm_stream_t stream) {
  edgeloop_t *loop = calloc(1, sizeof *loop);
  if (!loop)
    return NULL;
  loop->lock_fd = loop->timer_fd = -1;
  loop->playing = stream == SND_PCM_STREAM_PLAYBACK;
  loop->gone = s->gone ? strdup(s->gone) : NULL;
  loop->stuck = s->stuck ? strdup(s->stuck) : NULL;
  loop->log = s->log ? strdup(s->log) : NULL;
  loop->cable_rate_hz = s->cable_rate;
  loop->rate_hz = s->rate * (1 + s->ppm / 1e6);
  return loop;
}

SND_PCM_PLUGIN_DEFINE_FUNC(edgeloop) {
  settings_t settings = {.format = "S16_LE", .cable_rate = 48000, .rate = 48000, .channels = 1};
  snd_config_iterator_t entry, following;
  const char *id;
  (void)root;
  snd_config_for_each(entry, following, conf) {
    snd_config_t *node = snd_config_iterator_entry(entry);
    if (snd_config_get_id(node, &id) < 0)
      continue;
    int error = read_setting(node, id, &settings);
    if (error < 0)
      return error;
  }
  if (check(&settings) < 0)
    return -EINVAL;
  if (flagged(settings.gone))
    return -ENOENT;
  edgeloop_t *loop = make(&settings, stream);
  if (!loop)
    return -ENOMEM;
  int error = open_files(loop, &settings);
  if (error < 0) {
    release(loop);
    return error;
  }
  loop->io.version = SND_PCM_IOPLUG_VERSION;
  loop->io.name = "virtual loop";
  loop->io.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC;
  loop->io.callback = &callbacks;
  loop->io.private_data = loop;
  loop->io.poll_fd = loop->timer_fd;
  loop->io.poll_events = POLLIN;
  error = snd_pcm_ioplug_create(&loop->io, name, stream, mode);
  if (error < 0) {
    release(loop);
    return error;
  }
  error = constrain_card(&loop->io, settings.format, settings.rate, settings.channels);
  if (!error)
    error = bound_buffer(&loop->io, &settings);
  if (error < 0) {
    snd_pcm_ioplug_delete(&loop->io); /* closes, which releases loop */
    return error;
  }
  *pcmp = loop->io.pcm;
  return 0;
}
SND_PCM_PLUGIN_SYMBOL(edgeloop);
