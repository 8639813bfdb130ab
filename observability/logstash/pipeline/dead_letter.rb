# Makes a dead letter of an event that cannot be delivered: the whole event as text, which contradicts no mapping,
# with the reason. Its id is the event's own, or a hash of its fields, so that it is stored once.
require "digest"
require "json"

def register(params)
end

def filter(event)
  reason = (event.get("[@metadata][dead_letter_queue][reason]") || event.get("[@metadata][reason]")).to_s
  # Logstash's reason repeats the whole event before Elasticsearch's response. The event may hold this word too.
  response = reason.rindex(", response: ")
  reason = reason[response + 2..] if response
  reason = reason[0, 2000]
  # The tag alone says nothing: an event may have brought it.
  corrupt = Array(event.get("tags")).include?("_jsonparsefailure") && event.get("data_stream").nil?
  original = corrupt ? event.get("message").to_s : event.to_json
  id = event.get("[event][id]")
  # As in main.conf: Elasticsearch refuses a whole bulk request for one id of more than 512 bytes.
  usable = id.is_a?(String) && id.match?(/\A[!-~]{1,512}\z/)
  id = digest(corrupt ? original : JSON.parse(original, max_nesting: false)) unless usable
  letter = LogStash::Event.new(
    "message" => "not delivered: #{reason}",
    "log" => { "level" => "error" },
    "ecs" => { "version" => "8.17.0" },
    "event" => {
      "id" => id, "dataset" => "tidegate.dead_letter", "action" => "set-aside", "original" => original
    },
    "error" => { "message" => reason },
    "service" => { "node" => { "name" => "logstash" } }
  )
  letter.set("[@metadata][docid]", id)
  letter.set("[@metadata][reason]", reason)
  [letter]
end

def digest(value)
  Digest::SHA256.hexdigest(sorted(value).to_s)
end

# The order of an event's fields is not the same after a restart.
def sorted(value)
  case value
  when Hash then value.sort.to_h { |name, one| [name, sorted(one)] }
  when Array then value.map { |one| sorted(one) }
  else value
  end
end
