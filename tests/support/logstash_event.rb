# Runs a script of Logstash's `ruby` filter: reads events as lines of JSON from stdin, and writes the resulting events
# with their @metadata to stdout. Ruby 3.1 is the language level of JRuby 9.4, which Logstash 9.2 runs; with JRuby
# 9.4.13 (`java -jar jruby-complete.jar`, ten seconds) the output is the same.
#
# LogStash::Event imitates elastic/logstash 9.2, logstash-core/src/main/java/org/logstash/Event.java (and
# Accessors.java, ext/JrubyEventExtLibrary.java), as far as our scripts use it.
require "json"
require "time"

module LogStash
  class Event
    def initialize(data = {})
      @data = JSON.parse(JSON.generate(data, max_nesting: 0), max_nesting: false)
      @metadata = @data.delete("@metadata") || {}
      @data["@version"] ||= "1"
      @data["@timestamp"] ||= Time.now.utc.iso8601(3)
    end

    def get(reference)
      root, path = locate(reference)
      path.reduce(root) { |value, name| value.is_a?(Hash) ? value[name] : nil }
    end

    def set(reference, value)
      root, path = locate(reference)
      path[0..-2].reduce(root) { |object, name| object[name] ||= {} }[path.last] = value
    end

    def to_hash
      @data
    end

    # A Java HashMap has no order, so this has none either.
    def to_json(*)
      JSON.generate(@data.to_a.shuffle.to_h, max_nesting: 0)
    end

    def to_hash_with_metadata
      @data.merge("@metadata" => @metadata)
    end

    private

    def locate(reference)
      path = reference.start_with?("[") ? reference.scan(/\[([^\[\]]+)\]/).flatten : [reference]
      path.first == "@metadata" ? [@metadata, path.drop(1)] : [@data, path]
    end
  end
end

# As in logstash-filter-ruby, the script's methods belong to a separate context.
context = Object.new
context.instance_eval(File.read(ARGV.fetch(0)), ARGV.fetch(0))
context.register({})
STDIN.each_line do |line|
  context.filter(LogStash::Event.new(JSON.parse(line, max_nesting: false))).each do |event|
    puts JSON.generate(event.to_hash_with_metadata, max_nesting: 0)
  end
end
