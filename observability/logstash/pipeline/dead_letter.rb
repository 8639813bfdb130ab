# Makes a dead letter of an event that cannot go where it belongs: the whole of it as text, which contradicts no
# mapping, with the reason. Its id is the event's own, or one of its text, so that it is kept once.
require "digest"

def register(params)
end

def filter(event)
  reason = event.get("[@metadata][dead_letter_queue][reason]") || event.get("[@metadata][reason]")
  corrupt = Array(event.get("tags")).include?("_jsonparsefailure")
  original = corrupt ? event.get("message").to_s : event.to_json
  id = event.get("[event][id]")
  # Elasticsearch takes no id of more than 512 bytes.
  usable = id.is_a?(String) && !id.empty? && id.bytesize <= 512
  id = Digest::SHA256.hexdigest(original) unless usable
  letter = LogStash::Event.new(
    "message" => "not delivered: #{reason}",
    "log" => { "level" => "error" },
    "ecs" => { "version" => "8.17.0" },
    "event" => {
      "id" => id, "dataset" => "tidegate.dead_letter", "action" => "set-aside", "original" => original
    },
    "error" => { "message" => reason.to_s },
    "service" => { "node" => { "name" => "logstash" } }
  )
  letter.set("[@metadata][docid]", id)
  letter.set("[@metadata][reason]", reason.to_s)
  [letter]
end
