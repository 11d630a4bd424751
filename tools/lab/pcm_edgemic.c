/* SPDX-License-Identifier: MIT */
/*
 * A virtual microphone in user space: an alsa-lib capture device (ioplug) that
 * plays a raw file in real time, as a sound card would.
 *
 *   pcm.NAME {
 *     type edgemic
 *     file "x.raw"      headerless samples in the format below
 *     rate 48000  channels 1  format "S16_LE"
 *     loop true         endless and seamless; else zeros after the end
 *     ppm -37           the card's clock against CLOCK_MONOTONIC
 *     gone "flag"       unplugged while this file exists
 *     asleep "flag"     suspended while this file exists
 *     log "overruns"    each overrun appends the number of frames it lost
 *     played "stretches"  a line for each unbroken stretch: when the card's clock began and
 *                       when the stretch did (CLOCK_MONOTONIC, s), frames delivered of it
 *   }
 *
 * The card's clock runs from the first start until close, also while the stream
 * is stopped, and picks the samples from the file. What a late reader lost is
 * therefore known to the sample, and can be seen in the samples themselves.
 * Only one reader at a time: a second one gets EBUSY (a lock on `log`, else on `file`).
 */
#include "card.h"
#include <sys/stat.h>

typedef struct {
  snd_pcm_ioplug_t io;
  int file_fd, lock_fd, timer_fd, played_fd;
  off_t stretch;          /* where in `played` its frames are counted */
  char *gone, *asleep, *log;
  int loop;
  double rate_hz;         /* true rate: nominal x (1 + ppm / 1e6) */
  int clock_set, running;
  int lost;               /* it was unplugged: only who opens it anew finds it again */
  double epoch_s;         /* CLOCK_MONOTONIC at card frame 0 */
  int64_t start;          /* card frame at which the stream was started last */
  int64_t taken;          /* frames read since then */
  int64_t next;           /* card frame after the last one delivered */
  snd_pcm_sframes_t pointer; /* told last */
  size_t frame_bytes;
  int64_t file_frames;
} edgemic_t;

static int64_t card_frame(const edgemic_t *mic) {
  return (int64_t)floor((monotonic_s() - mic->epoch_s) * mic->rate_hz);
}

/*
 * Readable from the next period boundary on, as a card interrupts. Counted from the
 * start and not from what was taken, since alsa-lib may take the head of a period early.
 */
static void arm(edgemic_t *mic) {
  int64_t period = (int64_t)mic->io.period_size;
  int64_t due = mic->start + (mic->taken / period + 1) * period;
  arm_at(mic->timer_fd, mic->epoch_s + due / mic->rate_hz);
}

static int absent(edgemic_t *mic) {
  if (!mic->lost && !flagged(mic->gone))
    return 0;
  mic->lost = 1;
  snd_pcm_ioplug_set_state(&mic->io, SND_PCM_STATE_DISCONNECTED);
  return -ENODEV;
}

static int suspended(edgemic_t *mic) {
  if (!mic->running || !flagged(mic->asleep))
    return 0;
  snd_pcm_ioplug_set_state(&mic->io, SND_PCM_STATE_SUSPENDED);
  return -ESTRPIPE;
}

static int edgemic_start(snd_pcm_ioplug_t *io) {
  edgemic_t *mic = io->private_data;
  int error = absent(mic);
  if (error)
    return error;
  if (flagged(mic->asleep))
    return -ESTRPIPE;
  if (!mic->clock_set) {
    mic->epoch_s = monotonic_s();
    mic->clock_set = 1;
  }
  mic->start = card_frame(mic);
  if (mic->next > 0)
    append_number(mic->log, mic->start - mic->next);
  mic->taken = mic->pointer = 0;
  mic->running = 1;
  mic->stretch =
      begin_stretch(mic->played_fd, mic->epoch_s, mic->epoch_s + mic->start / mic->rate_hz);
  arm(mic);
  return 0;
}

static int edgemic_stop(snd_pcm_ioplug_t *io) {
  edgemic_t *mic = io->private_data;
  mic->running = 0;
  disarm(mic->timer_fd);
  return 0;
}

static int edgemic_prepare(snd_pcm_ioplug_t *io) {
  edgemic_t *mic = io->private_data;
  struct stat file;
  int error = absent(mic);
  if (error)
    return error;
  if (fstat(mic->file_fd, &file) < 0)
    return -errno;
  mic->frame_bytes = snd_pcm_format_physical_width(io->format) / 8 * io->channels;
  mic->file_frames = file.st_size / (int64_t)mic->frame_bytes;
  mic->taken = mic->pointer = 0;
  mic->running = 0; /* alsa-lib prepares after an overrun without a stop */
  disarm(mic->timer_fd);
  return 0;
}

static snd_pcm_sframes_t edgemic_pointer(snd_pcm_ioplug_t *io) {
  edgemic_t *mic = io->private_data;
  int error = absent(mic);
  if (error)
    return error;
  if (!mic->running)
    return 0;
  if (suspended(mic)) /* an error from here would read as an overrun */
    return mic->pointer;
  int64_t captured = card_frame(mic) - mic->start;
  if (captured >= mic->taken + (int64_t)io->buffer_size)
    return -EPIPE; /* full: a card stops here, and what waited is lost */
  mic->pointer = captured % (int64_t)io->buffer_size;
  return mic->pointer;
}

/* `count` frames of the file from frame `from` on; false when the file can't give them. */
static int read_frames(const edgemic_t *mic, char *to, int64_t from, int64_t count) {
  size_t want = (size_t)count * mic->frame_bytes, got = 0;
  off_t offset = (off_t)from * (off_t)mic->frame_bytes;
  while (got < want) {
    ssize_t n = pread(mic->file_fd, to + got, want - got, offset + (off_t)got);
    if (n <= 0 && !(n < 0 && errno == EINTR))
      return 0;
    got += n > 0 ? (size_t)n : 0;
  }
  return 1;
}

static void fill(const edgemic_t *mic, char *to, int64_t at, int64_t count) {
  while (count > 0) {
    int64_t in_file = mic->loop && mic->file_frames > 0 ? at % mic->file_frames : at;
    int64_t left = mic->file_frames - in_file;
    int64_t n = left > count ? count : left;
    if (n <= 0 || !read_frames(mic, to, in_file, n)) {
      memset(to, 0, (size_t)count * mic->frame_bytes);
      return;
    }
    to += (size_t)n * mic->frame_bytes;
    at += n;
    count -= n;
  }
}

static snd_pcm_sframes_t edgemic_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                          snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
  edgemic_t *mic = io->private_data;
  int error = absent(mic);
  if (!error)
    error = suspended(mic);
  if (error)
    return error;
  char *to = (char *)areas->addr + (areas->first + areas->step * offset) / 8;
  fill(mic, to, mic->start + mic->taken, (int64_t)size);
  mic->taken += (int64_t)size;
  mic->next = mic->start + mic->taken;
  count_stretch(mic->played_fd, mic->stretch, mic->taken);
  arm(mic);
  return (snd_pcm_sframes_t)size;
}

static int edgemic_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *polled, unsigned int n,
                                unsigned short *revents) {
  edgemic_t *mic = io->private_data;
  (void)n;
  int failing = mic->lost || flagged(mic->gone) || flagged(mic->asleep);
  *revents = failing ? POLLERR : polled->revents & POLLIN;
  return 0;
}

static void release(edgemic_t *mic) {
  if (mic->file_fd >= 0)
    close(mic->file_fd);
  if (mic->lock_fd >= 0)
    close(mic->lock_fd);
  if (mic->timer_fd >= 0)
    close(mic->timer_fd);
  if (mic->played_fd >= 0)
    close(mic->played_fd);
  free(mic->gone);
  free(mic->asleep);
  free(mic->log);
  free(mic);
}

static int edgemic_close(snd_pcm_ioplug_t *io) {
  release(io->private_data);
  return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {.start = edgemic_start,
                                                    .stop = edgemic_stop,
                                                    .prepare = edgemic_prepare,
                                                    .pointer = edgemic_pointer,
                                                    .transfer = edgemic_transfer,
                                                    .poll_revents = edgemic_poll_revents,
                                                    .close = edgemic_close};

typedef struct {
  const char *file, *gone, *asleep, *log, *played, *format;
  long rate, channels, ppm;
  int loop;
} settings_t;

static int read_setting(snd_config_t *node, const char *id, settings_t *out) {
  if (!strcmp(id, "comment") || !strcmp(id, "type") || !strcmp(id, "hint"))
    return 0;
  if (!strcmp(id, "file"))
    return snd_config_get_string(node, &out->file);
  if (!strcmp(id, "gone"))
    return snd_config_get_string(node, &out->gone);
  if (!strcmp(id, "asleep"))
    return snd_config_get_string(node, &out->asleep);
  if (!strcmp(id, "log"))
    return snd_config_get_string(node, &out->log);
  if (!strcmp(id, "played"))
    return snd_config_get_string(node, &out->played);
  if (!strcmp(id, "format"))
    return snd_config_get_string(node, &out->format);
  if (!strcmp(id, "rate"))
    return snd_config_get_integer(node, &out->rate);
  if (!strcmp(id, "channels"))
    return snd_config_get_integer(node, &out->channels);
  if (!strcmp(id, "ppm"))
    return snd_config_get_integer(node, &out->ppm);
  if (!strcmp(id, "loop")) {
    out->loop = snd_config_get_bool(node);
    return out->loop < 0 ? out->loop : 0;
  }
  SNDERR("edgemic: unknown field %s", id);
  return -EINVAL;
}

static int check(const settings_t *s) {
  if (!s->file || s->rate < 1000 || s->rate > 768000 || s->channels < 1 || s->channels > 32 ||
      s->ppm < -100000 || s->ppm > 100000 ||
      snd_pcm_format_physical_width(snd_pcm_format_value(s->format)) < 8) {
    SNDERR("edgemic: file, rate, channels, format or ppm is missing or out of range");
    return -EINVAL;
  }
  return 0;
}

static int open_files(edgemic_t *mic, const settings_t *s) {
  mic->file_fd = open(s->file, O_RDONLY | O_CLOEXEC);
  if (mic->file_fd < 0)
    return -errno;
  mic->lock_fd = open(s->log ? s->log : s->file, O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
  if (mic->lock_fd < 0)
    return -errno;
  if (flock(mic->lock_fd, LOCK_EX | LOCK_NB) < 0)
    return -EBUSY;
  if (s->played) {
    mic->played_fd = open(s->played, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (mic->played_fd < 0)
      return -errno;
  }
  mic->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  return mic->timer_fd < 0 ? -errno : 0;
}

static edgemic_t *make(const settings_t *s) {
  edgemic_t *mic = calloc(1, sizeof *mic);
  if (!mic)
    return NULL;
  mic->file_fd = mic->lock_fd = mic->timer_fd = mic->played_fd = -1;
  mic->gone = s->gone ? strdup(s->gone) : NULL;
  mic->asleep = s->asleep ? strdup(s->asleep) : NULL;
  mic->log = s->log ? strdup(s->log) : NULL;
  mic->loop = s->loop;
  mic->rate_hz = s->rate * (1 + s->ppm / 1e6);
  return mic;
}

SND_PCM_PLUGIN_DEFINE_FUNC(edgemic) {
  settings_t settings = {.format = "S16_LE", .rate = 48000, .channels = 1};
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
  if (stream != SND_PCM_STREAM_CAPTURE || check(&settings) < 0)
    return -EINVAL;
  if (flagged(settings.gone))
    return -ENOENT;
  edgemic_t *mic = make(&settings);
  if (!mic)
    return -ENOMEM;
  int error = open_files(mic, &settings);
  if (error < 0) {
    release(mic);
    return error;
  }
  mic->io.version = SND_PCM_IOPLUG_VERSION;
  mic->io.name = "virtual microphone";
  mic->io.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC;
  mic->io.callback = &callbacks;
  mic->io.private_data = mic;
  mic->io.poll_fd = mic->timer_fd;
  mic->io.poll_events = POLLIN;
  error = snd_pcm_ioplug_create(&mic->io, name, stream, mode);
  if (error < 0) {
    release(mic);
    return error;
  }
  error = constrain_card(&mic->io, settings.format, settings.rate, settings.channels);
  if (error < 0) {
    snd_pcm_ioplug_delete(&mic->io); /* closes, which releases mic */
    return error;
  }
  *pcmp = mic->io.pcm;
  return 0;
}
SND_PCM_PLUGIN_SYMBOL(edgemic);
