/* SPDX-License-Identifier: MIT */
/* What virtual sound cards share: a clock, an interrupt, flags and a log in files. */
#ifndef EDGE_LAB_CARD_H
#define EDGE_LAB_CARD_H

#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static inline double monotonic_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + now.tv_nsec / 1e9;
}

static inline int flagged(const char *path) { return path && access(path, F_OK) == 0; }

/* Interrupt at a time of CLOCK_MONOTONIC: absolute, so that nothing drifts. */
static inline void arm_at(int timer_fd, double at_s) {
  /* 2 us late rather than early: an early wake-up would wait a second time. */
  at_s += 2e-6;
  struct itimerspec timer = {{0, 0}, {0, 0}};
  timer.it_value.tv_sec = (time_t)at_s;
  timer.it_value.tv_nsec = (long)((at_s - floor(at_s)) * 1e9);
  timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

static inline void disarm(int timer_fd) {
  struct itimerspec never = {{0, 0}, {0, 0}};
  timerfd_settime(timer_fd, 0, &never, NULL);
}

static inline void append_number(const char *path, int64_t number) {
  FILE *log = path ? fopen(path, "a") : NULL;
  if (!log)
    return;
  fprintf(log, "%lld\n", (long long)number);
  fclose(log);
}

/* Append a stretch of sound to a log; return where its line is, -1: nowhere. */
static inline off_t begin_stretch(int log_fd, double epoch_s, double began_s) {
  off_t at = log_fd < 0 ? -1 : lseek(log_fd, 0, SEEK_END);
  if (at >= 0 && dprintf(log_fd, "%.9f %.9f %020d\n", epoch_s, began_s, 0) < 0)
    return -1;
  return at < 0 ? -1 : lseek(log_fd, 0, SEEK_CUR) - 21;
}

/* Say how many frames of it were delivered by now: also who is killed next has said so. */
static inline void count_stretch(int log_fd, off_t at, int64_t frames) {
  char text[21];
  snprintf(text, sizeof text, "%020lld", (long long)frames);
  if (at >= 0 && pwrite(log_fd, text, 20, at) < 0)
    SNDERR("a stretch can't be written down");
}

/* One access, format, rate and number of channels; sizes as USB and I2S cards allow, roughly. */
static inline int constrain_card(snd_pcm_ioplug_t *io, const char *format_name, long rate,
                                 long channels) {
  /* ALSA's own conversions (`plug`) write by mmap. To read so, alsa-lib asks for the same
   * samples again and again, which a card here can't give. */
  unsigned int access[] = {SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_ACCESS_MMAP_INTERLEAVED};
  unsigned int n_access = io->stream == SND_PCM_STREAM_PLAYBACK ? 2 : 1;
  unsigned int format[] = {(unsigned int)snd_pcm_format_value(format_name)};
  unsigned int rates[] = {(unsigned int)rate}, counts[] = {(unsigned int)channels};
  unsigned int frame = (unsigned int)snd_pcm_format_physical_width((int)format[0]) / 8 * counts[0];
  int error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, n_access, access);
  if (!error)
    error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, format);
  if (!error)
    error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_RATE, 1, rates);
  if (!error)
    error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_CHANNELS, 1, counts);
  if (!error) /* 16 to 16384 frames */
    error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 16 * frame,
                                            16384 * frame);
  if (!error)
    error = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
  return error;
}

#endif
