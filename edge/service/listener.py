# SPDX-License-Identifier: MIT
"""The listening unit: builds every object, starts the threads in order, stops them in reverse.

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
thresholds  keeps those that are told, while it does       the disk
main        watchdog, health, signals                      nothing
==========  =============================================  ==========================
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.clock import StreamClock
from edge.errors import DeviceError
from edge.publish import payloads
from edge.service import build
from edge.service.calibrated import Calibrated
from edge.service.commands import Orders
from edge.service.ears import Place
from edge.service.hearing import hearing_of
from edge.service.inference import Inference
from edge.service.instrument import Instrument
from edge.service.introducing import Introduction
from edge.service.memory import settle_memory
from edge.service.models import Models
from edge.service.notify import Manager, tell
from edge.service.overrun import Overruns
from edge.service.pausing import Pausing
from edge.service.priority import RealTime
from edge.service.recording import build_recorder, recording_figures
from edge.service.reporter import Reporter
from edge.service.rules import state_labels
from edge.service.sounding import Sounding
from edge.service.stream import StreamWatch
from edge.service.thresholds import Thresholds
from edge.service.uplink import Uplink
from edge.service.vitals import Vitals
from edge.types import Bands, Gap, Level, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.capture.source import Source
    from edge.config.schema import Settings
    from edge.led import Led
    from edge.pipeline import Measured
    from edge.record.recorder import Recorder
    from edge.service.commands import Handler
    from edge.service.figures import FiguresFile
    from edge.service.lastwords import LastWords
    from edge.service.supervisor import Supervisor
    from edge.types import Event, Message

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
FIRST_TICK_S: Final = 0.01  # until the first sample: who waits for READY waits no longer
# All of it, unless several threads are stuck at once: people are told 5, the manager has 10.
STOP_WITHIN_S: Final = 4.5
JOIN_S: Final = 1.0  # of that, for capture and for inference each
RECORD_S: Final = 1.5  # and for the last clip: an unfinished one is as if it had never been
SWITCH_INTERVAL_S: Final = 0.0005  # else a busy Python thread delays capture by 5 ms


class Output(Protocol):
    """Who takes levels and events; no call ever waits."""

    def level(self, measured: Level) -> None:
        """Take one second (capture thread)."""

    def event(self, what: Event) -> None:
        """Take an onset or an offset (inference thread, and measure thread for alarms)."""


class Listener:
    """The listening unit; `run` runs it to its end, of which the supervisor knows the failure."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        supervisor: Supervisor,
        *,
        file: FiguresFile,
        words: LastWords,
        led: Led,
    ) -> None:
        self._words = words
        self._led = led
        self._source = source
        self._supervisor = supervisor
        self._models = Models(settings)
        self._settings = settings
        settings = self._models.settings  # without what does not fit a model that stands in
        model = self._models.classifier.info
        stream = self._source.format
        stream_id = build.new_run_id(settings)
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
        self._stream = StreamWatch(stream, self._clock)
        self._overruns = Overruns(self._clock, stream.rate_hz)
        self._real_time = RealTime("capture")
        self._topics = build.build_topics(settings)
        self._recorder = self._build_recorder(stream_id) if settings.record.enabled else None
        self._pausing = Pausing(self._topics, self._send)
        self._thresholds = Thresholds(
            lambda: self._models.settings,
            settings.state.path,
            supervisor,
            changed=self._tell_info,
        )
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
            paused=lambda: self._pausing.active,
            calibration_told=self._describe,
        )
        self._vitals = Vitals(
            settings, time.monotonic(), file=file, figures=self._figures, tell=self._tell_health
        )
        self._introduction = Introduction(
            settings,
            topics=self._topics,
            source=source,
            models=self._models,
            thresholds=self._thresholds,
            calibrated=self._calibrated,
            alarms=self._instrument.alarms,
            weighting_class=self._pipeline.weighting_class,
            thermometer=self._vitals.thermometer,
            send=self._send,
            again=self._tell_again,
        )
        self._playback = build.build_playback(settings, stream)
        more: dict[str, tuple[Handler, str]] = {
            "calibrate": (self._instrument.desk.request, "level_db"),
            "play": (Sounding(self._playback, stream.rate_hz).play, "sound"),
            "model": (self._models.command, "name"),
            "pause": (self._pausing.pause, "seconds"),
            "resume": (self._pausing.resume, ""),
            "threshold": (self._thresholds.command, ""),
        }
        refuse = self._pausing.refuse
        orders = Orders(self._recorder, settings.record.max_command_s, more, refuse)
        commands = orders.commands(self._topics, self._send)
        self._homeassistant = self._introduction.homeassistant
        self._uplink = (
            Uplink(
                settings,
                commands.received,
                self._homeassistant.born if settings.homeassistant.enabled else None,
                forgotten=self._homeassistant.forgotten,
            )
            if self._homeassistant
            else None
        )
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
        self._trouble_told = ""  # what was last said of the recorder
        self._inference = Inference(
            self._settings,
            rate_hz=stream.rate_hz,
            models=self._models,
            pipeline=self._pipeline,
            shedding=self._vitals.shedding,
            reporter=self._reporter,
            recorder=self._recorder,
            thresholds=self._thresholds,
            paused=lambda: self._pausing.active,
            tell=self._hand_on_events,
        )

    def run(self) -> None:
        """Listen until a signal, the end of a finite source, or a failure."""
        signal.signal(signal.SIGHUP, lambda *_: self._models.ask())
        signal.signal(signal.SIGCONT, lambda *_: self._overruns.goes_on())
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._start()
        settle_memory()
        try:
            self._watch()
        finally:
            self._stop()
        log.info("stopped after %d samples", self._stream.sample_index)

    def _start(self) -> None:
        if self._uplink:
            self._uplink.start(self._supervisor)
        self._introduction.tell_info()
        self._pausing.tell()
        self._words.tell(self._topics, self._settings.spool if self._uplink else None, self._send)
        model = self._models.classifier.info
        self._reporter.silence(state_labels(self._models.settings, model))
        if self._recorder:
            self._supervisor.start("record", self._recorder.run)
        if self._playback:
            self._playback.start(self._supervisor)
        self._supervisor.start("measure", self._instrument.run)
        self._supervisor.start("inference", self._inference.run)
        self._supervisor.start("capture", self._capture)
        log.info("listening to %s", self._source.name)
        for note in self._source.notes:
            log.warning("%s: %s", self._source.name, note)

    def _watch(self) -> None:
        """Run the main thread: nothing in here waits for anybody."""
        now_s = time.monotonic()
        manager = Manager(now_s, self._inference.stall_s())
        while not self._supervisor.ended.wait(TICK_S if manager.ready else FIRST_TICK_S):
            now_s = time.monotonic()
            self._models.look(now_s)
            manager.progress.inference_stall_s = self._inference.stall_s()
            manager.tell(self._stream.sample_index, self._inference.turns, now_s, self._status_line)
            stalled, measured_hz = not manager.progress.hears, self._source.measured_hz
            self._stream.look(stalled=stalled, measured_hz=measured_hz)
            self._overruns.look(now_s)
            changed = self._stream.tell_changes() | self._recorder_changed() | self._pausing.look()
            changed |= bool(self._uplink and self._uplink.changed())
            changed |= bool(self._homeassistant and self._homeassistant.look(now_s))
            changed |= self._overruns.tell() | self._real_time.tell()
            hears = manager.ready and not manager.stalled and self._stream.microphone == "ok"
            self._led.show("steady" if hears else "blinking")
            self._vitals.watch(now_s, changed=changed)
            if self._hearing:
                busy = self._vitals.shedding.step != "none"
                self._hearing.tell(heard=busy or self._reporter.sounding > 0)

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
        self._inference.close()
        if self._supervisor.join("inference", JOIN_S):
            self._hand_on_events(self._pipeline.close_events())
        self._measuring.stop()
        self._supervisor.join("measure", JOIN_S)
        if self._recorder:
            self._recorder.stop()
            self._supervisor.join("record", RECORD_S)
        if captured:  # else no time is left for a disk that may be stuck as well
            self._vitals.report()  # the last figures are exact
        if self._uplink:
            self._uplink.stop(self._supervisor, within_s=until_s - time.monotonic())

    def _capture(self) -> None:
        self._real_time.ask()
        while not self._supervisor.ended.is_set():
            self._real_time.keep()
            item = self._source.read()
            if item is None:
                break
            if isinstance(item, Gap) and item.cause == "xrun":
                self._overruns.note(item)
            self._stream.note(item)
            if self._playback and self._settings.playback.listen_in:
                self._playback.take(item)
            if self._recorder:
                self._recorder.keep(item)
            if cutter := self._models.cutter():
                self._pipeline.change_patches(cutter)
            self._hand_on(self._pipeline.process(item))
            if isinstance(item, Gap) and item.cause == "unplugged":
                self._measuring.miss(item.sample_index + item.lost_samples)
                self._inference.miss(item)
        self._hand_on(self._pipeline.flush())
        self._supervisor.end()

    def _hand_on(self, outputs: list[Measured]) -> None:
        for output in outputs:
            match output:
                case Patch():
                    self._inference.put(output)
                case Level():
                    for one in self._outputs:
                        one.level(output)
                    self._measuring.level(output)
                case Bands():
                    self._measuring.bands(output)

    def _model_changed(self) -> None:
        self._introduction.tell_all()
        settle_memory()

    def _tell_info(self) -> None:
        self._introduction.tell_info()

    def _describe(self) -> None:
        self._introduction.describe()

    def _tell_again(self) -> None:
        if self._uplink:
            self._uplink.tell_again()

    def _hand_on_events(self, events: list[Event]) -> None:
        for event in events:
            for one in self._outputs:
                one.event(event)

    def _recorder_changed(self) -> bool:
        """Return whether recording pauses or goes on since the last call; its thread logs it."""
        trouble = self._recorder.trouble if self._recorder else ""
        changed = trouble != self._trouble_told
        self._trouble_told = trouble
        return changed

    def _tell_health(self, figures: Mapping[str, Any]) -> None:
        now = self._clock.utc_of_mono(time.monotonic())
        self._send(payloads.health(self._topics, figures, now))

    def _figures(self) -> dict[str, Any]:
        figures = self._stream.figures()
        if isinstance(self._supervisor.failure, DeviceError):
            figures["microphone"] = "lost"
        figures |= {
            "xruns": self._source.xruns,
            "real_time": self._real_time.active,
            "paused": self._pausing.active,
            **self._overruns.figures(),
            **self._inference.figures(),
            "events": self._reporter.events,
            "last_event": self._reporter.last_event,
        }
        recording = recording_figures(self._recorder)
        figures |= self._instrument.figures()
        figures |= self._playback.figures() if self._playback else {}
        return figures | recording | (self._uplink.figures() if self._uplink else {})

    def _status_line(self) -> str:
        stream = self._stream
        return f"{self._reporter.line()}; {stream.gaps} gaps; microphone {stream.microphone}"

    def _build_recorder(self, stream_id: str) -> Recorder:
        return build_recorder(
            self._models.settings,
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
