# A Rack app, for unicorn.
require "json"

def handler_of(path)
  case path
  when "/webhook/leases" then "leases"
  when "/hooks/admin" then "admin"
  when %r{\A/hooks/} then "tenant"
  when %r{\A/partner/} then "partner"
  else "other"
  end
end

run(lambda do |env|
  path = env["PATH_INFO"]
  fields = env.select { |name, _| name.start_with?("HTTP_") }
  fields = fields.to_h { |name, value| [name.delete_prefix("HTTP_").downcase.tr("_", "-"), value] }
  fields["content-length"] = env["CONTENT_LENGTH"] if env["CONTENT_LENGTH"]
  content = env["rack.input"].read.unpack1("H*")
  line = { handler: handler_of(path), path: path, content: content, fields: fields }
  File.open(ENV.fetch("SEEN"), "a") { |seen| seen.puts(line.to_json) }
  [200, { "content-type" => "text/plain", "content-length" => "3" }, ["ok\n"]]
end)
