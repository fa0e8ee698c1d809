-- Ardour records midirnn, without a screen: a session of two tracks, connected over JACK.
--
--   midirnn live --virtual --api jack --clock midi --on-beat 4
--   ardour7-lua examples/ardour.lua FOLDER 60 "My keyboard"
--
-- makes an Ardour session in FOLDER, which must not exist yet, and records 60 seconds into it. The
-- track "You" passes on to midirnn what your keyboard sends (a part of the name of its JACK port is
-- enough); the track "midirnn" receives what the model plays. Ardour gives the tempo by MIDI clock.
local folder, seconds, keyboard = arg[1], tonumber(arg[2]), arg[3]
local midi, no_group = ARDOUR.DataType("midi"), PBD.GroupControlDisposition.NoGroup

assert(AudioEngine:set_backend("JACK", "ardour", ""), "no JACK server runs")
local session = create_session(folder, "midirnn", 48000)
assert(session, "no session could be made in " .. folder)
ARDOUR.config().send_midi_clock = true

local function new_track(name)
  local one = ARDOUR.ChanCount(midi, 1)
  local tracks = session:new_midi_track(one, one, true, ARDOUR.PluginInfo(), nil, nil, 1, name,
    ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true)
  return tracks:front()
end

local function port(direction, words)
  local _, found = AudioEngine:get_backend_ports("", midi, direction, C.StringVector())
  for name in found[4]:iter() do
    if name:find(words, 1, true) then return name end
  end
  error("no MIDI port of JACK is called " .. words)
end

local function connect(source, sink)
  assert(AudioEngine:connect(source, sink) == 0, source .. " does not go to " .. sink)
  print(source .. " -> " .. sink)
end

local you, model = new_track("You"), new_track("midirnn")
local sends, receives = ARDOUR.PortFlags.IsOutput, ARDOUR.PortFlags.IsInput
connect(port(sends, keyboard), "ardour:You/midi_in 1")
connect("ardour:You/midi_out 1", port(receives, "midirnn in"))
connect("ardour:MIDI Clock out", port(receives, "midirnn in"))
connect(port(sends, "midirnn out"), "ardour:midirnn/midi_in 1")

for _, track in ipairs({you, model}) do
  track:rec_enable_control():set_value(1, no_group)
end
you:monitoring_control():set_value(1, no_group) -- In: what is played is passed on

session:maybe_enable_record(false)
session:request_roll(ARDOUR.TransportRequestSource.TRS_UI)
while not session:actively_recording() do sleep(0.1) end
print("recording")
io.stdout:flush()
sleep(seconds)
session:request_stop(false, false, ARDOUR.TransportRequestSource.TRS_UI)
sleep(1)
session:save_state("", false, false, false, false, false)
close_session()
