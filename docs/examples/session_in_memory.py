"""Play a session with ports in memory: no MIDI device, no sound card."""

from midirnn.live import LiveConfig
from midirnn.live.rig import Rig
from midirnn.ports import MemoryInput, MemoryOutput

config = LiveConfig(mode="duet", model="piano-small", seed=1, seconds=3.0)
output = MemoryOutput(name="synthesizer")

with Rig(config, output=output, open_input=MemoryInput) as rig:
    rig.input.feed((0x90, 60, 80))  # the performer plays middle C
    rig.session.turn("temperature", 0.9)  # as a controller would
    rig.run()
    print("mode:", rig.session.view().mode)

for seconds, message in output.sent[:10]:
    print(f"{seconds - output.sent[0][0]:6.3f} s  {message}")
print(len(output.sent), "messages were sent")
