# Turns an undeliverable event into a dead letter: the whole event as text, which fits every mapping, with the
# reason. Its id is the event's own or a hash of its fields, so it is stored once.
require "digest"
require "json"

# The fields of an event that the codec makes of a line that it cannot read. The tag alone proves nothing: the event may
# have had it already.
UNREADABLE = %w[message tags @timestamp @version].freeze

def register(params)
end

def filter(event)
  reason = (event.get("[@metadata][dead_letter_queue][reason]") || event.get("[@metadata][reason]")).to_s
  # Logstash's reason has the whole event before Elasticsearch's response. The event may contain this text, too.
  response = reason.rindex(", response: ")
  reason = reason[response + 2..] if response
  reason = reason[0, 2000]
  corrupt = Array(event.get("tags")).include?("_jsonparsefailure") && (event.to_hash.keys - UNREADABLE).empty?
  reason = "Logstash cannot read the line as a JSON object" if corrupt
  original = corrupt ? event.get("message").to_s : event.to_json
  id = event.get("[event][id]")
  # As in main.conf: for one id of more than 512 bytes Elasticsearch rejects the whole bulk request.
  usable = id.is_a?(String) && id.match?(/\A[!-~]{1,512}\z/)
  id = digest(corrupt ? original : JSON.parse(original, max_nesting: false)) unless usable
  # Of what names no service, the service of this Logstash: readers find the events of their own.
  service = event.get("[service][name]")
  own = ENV["TIDEGATE_SERVICE__NAME"].to_s
  service = own.empty? ? "flights" : own unless service.is_a?(String) && !service.empty?
  letter = LogStash::Event.new(
    "message" => "not delivered: #{reason}",
    "log" => { "level" => "error" },
    "ecs" => { "version" => "8.17.0" },
    "event" => {
      "id" => id, "dataset" => "tidegate.dead_letter", "action" => "set-aside", "original" => original
    },
    "error" => { "message" => reason },
    "service" => { "name" => service[0, 1024], "node" => { "name" => "logstash" } }
  )
  letter.set("[@metadata][docid]", id)
  letter.set("[@metadata][reason]", reason)
  [letter]
end

def digest(value)
  Digest::SHA256.hexdigest(sorted(value).to_s)
end

# The order of an event's fields changes at a restart.
def sorted(value)
  case value
  when Hash then value.sort.to_h { |name, one| [name, sorted(one)] }
  when Array then value.map { |one| sorted(one) }
  else value
  end
end
