# SPDX-License-Identifier: MIT
"""`edge listen`: builds every object, starts the threads in order, stops them in reverse.

==========  =============================================  ==========================
thread      does                                           blocks on
==========  =============================================  ==========================
capture     reads a period, `Pipeline.process`, hands on   the sound card only
inference   classifier and detector on the newest patch    the model
measure     minutes, alarms, calibration                   the disk
record      judges, encodes and writes clips               the disk
playback    the filtered sound, and sounds on command      the output card
publish     outbox and broker                              its inbox
mqtt        the client's network loop, commands            the broker
model       opens another model, while it changes          the model
main        watchdog, health, signals                      nothing
==========  =============================================  ==========================
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.clock import StreamClock
from edge.errors import EXIT_FAILURE, EXIT_OK, DeviceError, EdgeError
from edge.health import BoxHealth
from edge.publish import payloads
from edge.service import build
from edge.service.calibrated import Calibrated
from edge.service.commands import Orders
from edge.service.hearing import hearing_of
from edge.service.instrument import Instrument
from edge.service.memory import settle_memory
from edge.service.models import Models, Place
from edge.service.notify import INFERENCE_STALL_S, Progress, tell, watchdog_interval_s
from edge.service.recording import build_recorder, new_model, recording_figures
from edge.service.reporter import Reporter
from edge.service.sounding import Sounding
from edge.service.stream import StreamWatch
from edge.service.supervisor import Mailbox, Supervisor
from edge.service.uplink import Uplink
from edge.types import Bands, Level, Patch

if TYPE_CHECKING:
    from edge.config.schema import Settings
    from edge.pipeline import Measured
    from edge.record.recorder import Recorder
    from edge.service.commands import Handler
    from edge.types import Event, Message, Scores

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
FIRST_TICK_S: Final = 0.01  # until the first sample: who waits for READY waits no longer
STATUS_EVERY_S: Final = 10.0
FIRST_HEALTH_S: Final = 3.0
STOP_WITHIN_S: Final = 4.5  # all of it: the service manager and people are told 5
JOIN_S: Final = 1.0  # of that, for capture and for inference each
RECORD_S: Final = 1.5  # and for the last clip: an unfinished one is as if it had never been
SWITCH_INTERVAL_S: Final = 0.0005  # else a busy Python thread delays capture by 5 ms


class Output(Protocol):
    """Who takes what the pipeline gives; no call ever waits."""

    def level(self, measured: Level) -> None:
        """Take one second (capture thread)."""

    def scores(self, heard: Scores) -> None:
        """Take one patch (inference thread)."""

    def event(self, what: Event) -> None:
        """Take an onset or an offset (inference thread, and measure thread for alarms)."""


class Listener:
    """The listening unit. `run` returns the exit code."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor = Supervisor()
        self._models = Models(settings)
        model = self._models.classifier.info
        self._source = build.build_source(settings.capture)
        stream = self._source.format
        stream_id = f"{settings.node.id}-{time.time_ns() // 1_000_000:x}"
        self._calibrated = Calibrated(settings, self._source.name)
        self._pipeline = build.build_pipeline(
            settings, stream, model, stream_id, self._calibrated.response
        )
        self._models.attach(
            Place(stream, stream_id, self._calibrated.response, self._pipeline.most_samples),
            self._supervisor,
            self._model_changed,
        )
        self._clock = StreamClock(stream.rate_hz)
        self._patches: Mailbox[Patch] = Mailbox()
        self._stream = StreamWatch(stream, self._clock)
        self._topics = build.build_topics(settings)
        self._box = BoxHealth(settings.state.path)
        self._recorder = self._build_recorder(stream_id) if settings.record.enabled else None
        self._instrument = Instrument(
            settings,
            stream=stream,
            stream_id=stream_id,
            labels=model.scored,
            topics=self._topics,
            clock=self._clock,
            calibrated=self._calibrated,
            tell=lambda event: self._hand_on_events([event]),
            send=self._send,
        )
        self._playback = build.build_playback(settings, stream)
        more: dict[str, tuple[Handler, str]] = {
            "calibrate": (self._instrument.desk.request, "level_db"),
            "play": (Sounding(self._playback, stream.rate_hz).play, "sound"),
            "model": (self._models.command, "name"),
        }
        orders = Orders(self._recorder, settings.record.max_command_s, more)
        commands = orders.commands(self._topics, self._send)
        self._uplink = Uplink(settings, commands.received) if settings.publish.url else None
        self._reporter = Reporter(
            topics=self._topics,
            clock=self._clock,
            rate_hz=stream.rate_hz,
            labels=model.scored,
            alarms=self._instrument.alarms,
            offset_db=self._calibrated.offset_db,
            under_range_dbfs=build.under_range_dbfs(settings, stream),
            top_scores=settings.model.top_scores,
            live=settings.publish.live,
            send=self._send,
        )
        self._outputs: tuple[Output, ...] = (
            (self._reporter, self._recorder) if self._recorder else (self._reporter,)
        )
        self._measuring = self._instrument.measuring
        self._hearing = hearing_of(settings)
        self._inferences = 0
        self._trouble_told = ""  # what was last said of the recorder
        self._output_bad = False

    def run(self) -> int:
        """Listen until a signal, the end of a finite source, or a failure."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._supervisor.end())
        signal.signal(signal.SIGHUP, lambda *_: self._models.ask())
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._start()
        settle_memory()
        try:
            self._watch()
        finally:
            self._stop()
        return self._exit_code()

    def _start(self) -> None:
        if self._uplink:
            self._uplink.start(self._supervisor)
        self._tell_info()
        self._reporter.silence(build.state_labels(self._settings, self._models.classifier.info))
        if self._recorder:
            self._supervisor.start("record", self._recorder.run)
        if self._playback:
            self._playback.start(self._supervisor)
        self._supervisor.start("measure", self._instrument.run)
        self._supervisor.start("inference", self._infer)
        self._supervisor.start("capture", self._capture)
        log.info("listening to %s", self._source.name)
        for note in self._source.notes:
            log.warning("%s: %s", self._source.name, note)

    def _watch(self) -> None:
        """Run the main thread: nothing in here waits for anybody."""
        interval_s = watchdog_interval_s(os.environ)
        started_s = time.monotonic()
        progress = Progress(started_s, self._inference_stall_s())
        ready = stalled = False
        next_watchdog_s = next_status_s = started_s
        next_health_s = started_s + FIRST_HEALTH_S
        while not self._supervisor.ended.wait(TICK_S if ready else FIRST_TICK_S):
            now_s = time.monotonic()
            self._models.look(now_s)
            progress.inference_stall_s = self._inference_stall_s()
            advancing = progress.advancing(self._stream.sample_index, self._inferences, now_s)
            if not advancing and not stalled:
                log.error("samples or inference stand still: the watchdog is no longer fed")
            if stalled and advancing:
                log.info("samples and inference go on")
            stalled = not advancing
            if self._stream.tell_changes() | self._recorder_changed():
                self._report_health()
            if self._hearing:
                self._hearing.tell(heard=self._reporter.sounding > 0)
            if not ready and self._stream.sample_index:
                ready = True
                tell(READY=1)
            if interval_s and advancing and now_s >= next_watchdog_s:
                tell(WATCHDOG=1)
                next_watchdog_s = now_s + interval_s
            if now_s >= next_status_s:
                tell(STATUS=self._status_line())
                next_status_s = now_s + STATUS_EVERY_S
            if now_s >= next_health_s:
                self._report_health()
                next_health_s = now_s + self._settings.health.interval_s

    def _stop(self) -> None:
        """Stop in the order of the way of a sound, so that what was heard is also sent."""
        until_s = time.monotonic() + STOP_WITHIN_S
        tell(STOPPING=1)
        self._supervisor.end()
        captured = self._supervisor.join("capture", JOIN_S)
        if captured:
            self._source.close()
        if self._playback:
            self._playback.stop(JOIN_S)
        self._patches.close()
        if self._supervisor.join("inference", JOIN_S):
            self._hand_on_events(self._pipeline.close_events())
        self._measuring.stop()
        self._supervisor.join("measure", JOIN_S)
        if self._recorder:
            self._recorder.stop()
            self._supervisor.join("record", RECORD_S)
        if captured:  # else no time is left for a disk that may be stuck as well
            self._report_health()  # the last figures are exact
        if self._uplink:
            within_s = max(until_s - time.monotonic(), 0.0)
            self._uplink.stop(self._supervisor, within_s=within_s)

    def _exit_code(self) -> int:
        failure = self._supervisor.failure
        if failure is None:
            log.info("stopped after %d samples", self._stream.sample_index)
            return EXIT_OK
        if isinstance(failure, EdgeError):
            log.error("%s", failure)
            return failure.exit_code
        return EXIT_FAILURE

    def _capture(self) -> None:
        while not self._supervisor.ended.is_set():
            item = self._source.read()
            if item is None:
                break
            self._stream.note(item)
            if self._playback and self._settings.playback.listen_in:
                self._playback.take(item)
            if self._recorder:
                self._recorder.keep(item)
            if cutter := self._models.cutter():
                self._pipeline.change_patches(cutter)
            self._hand_on(self._pipeline.process(item))
        self._hand_on(self._pipeline.flush())
        self._supervisor.end()

    def _hand_on(self, outputs: list[Measured]) -> None:
        for output in outputs:
            match output:
                case Patch():
                    self._patches.put(output)
                case Level():
                    for one in self._outputs:
                        one.level(output)
                    self._measuring.level(output)
                case Bands():
                    self._measuring.bands(output)

    def _infer(self) -> None:
        while patch := self._patches.take():
            if patch.model != self._models.number:
                self._take_over()
            classifier = self._models.classifier
            bad_before = classifier.bad_outputs
            scores = classifier.classify(patch)
            self._note_output(bad=classifier.bad_outputs > bad_before)
            self._models.note(valid=scores.valid)
            # Events first: with a patch's scores the recorder takes all before its end as known.
            self._hand_on_events(self._pipeline.detect(scores))
            for one in self._outputs:
                one.scores(scores)
            self._inferences += 1

    def _take_over(self) -> None:
        """Hear with another model from this patch on."""
        if ears := self._models.take_over():
            model = ears.classifier.info
            self._hand_on_events(self._pipeline.change_detector(ears.detector))
            states = build.state_labels(self._settings, model)
            self._reporter.change_labels(model.scored, states)
            if self._recorder:
                rate_hz = self._source.format.rate_hz
                self._recorder.change_model(new_model(self._settings, rate_hz, model))
            ears.taken.set()

    def _model_changed(self) -> None:
        self._tell_info()
        settle_memory()

    def _tell_info(self) -> None:
        facts = build.describe_box(
            self._settings,
            self._source,
            self._models.classifier.info,
            weighting_class=self._pipeline.weighting_class,
        )
        self._send(payloads.info(self._topics, facts))

    def _hand_on_events(self, events: list[Event]) -> None:
        for event in events:
            for one in self._outputs:
                one.event(event)

    def _note_output(self, *, bad: bool) -> None:
        if bad and not self._output_bad:
            log.error("the model's scores are not in 0..1 and count as 0")
        if self._output_bad and not bad:
            log.info(
                "the model's scores are in 0..1 again: %d were not",
                self._models.classifier.bad_outputs,
            )
        self._output_bad = bad

    def _recorder_changed(self) -> bool:
        """Return whether recording pauses or goes on since the last call; its thread logs it."""
        trouble = self._recorder.trouble if self._recorder else ""
        changed = trouble != self._trouble_told
        self._trouble_told = trouble
        return changed

    def _report_health(self) -> None:
        figures = self._box.read() | self._figures()
        now = self._clock.utc_of_mono(time.monotonic())
        self._send(payloads.health(self._topics, figures, now))
        log.info("stats %s", " ".join(f"{key}={value}" for key, value in figures.items()))

    def _figures(self) -> dict[str, Any]:
        figures = self._stream.figures()
        if isinstance(self._supervisor.failure, DeviceError):
            figures["microphone"] = "lost"
        figures |= {
            "xruns": self._source.xruns,
            "inferences": self._inferences,
            "late_patches": self._patches.dropped,
            "bad_outputs": self._models.classifier.bad_outputs,
            "model": self._models.trouble or "ok",
            "events": self._reporter.events,
        }
        recording = recording_figures(self._recorder)
        figures |= self._instrument.figures()
        figures |= self._playback.figures() if self._playback else {}
        return figures | recording | (self._uplink.figures() if self._uplink else {})

    def _inference_stall_s(self) -> float:
        """Return how long no inference is too long: a slow model's patches are far apart."""
        model = self._models.classifier.info
        hop_s = model.front_end.hop_length / model.front_end.rate_hz
        return max(INFERENCE_STALL_S, (3 * model.patch_hop + model.patch_frames) * hop_s)

    def _status_line(self) -> str:
        stream = self._stream
        return f"{self._reporter.line()}; {stream.gaps} gaps; microphone {stream.microphone}"

    def _build_recorder(self, stream_id: str) -> Recorder:
        return build_recorder(
            self._settings,
            stream=self._source.format,
            stream_id=stream_id,
            device=self._source.name,
            model=self._models.classifier.info,
            utc=self._clock.utc,
            saved=lambda sidecar: self._send(payloads.clip(self._topics, sidecar)),
            offset_db=self._calibrated.offset_db,
        )

    def _send(self, message: Message) -> None:
        if self._uplink:
            self._uplink.send(message)


def listen(settings: Settings) -> int:
    """Run the listening unit; return its exit code."""
    return Listener(settings).run()
