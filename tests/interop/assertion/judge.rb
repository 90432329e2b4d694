# The verifier for Ruby of docs/assertion.md as a judge. Reads cases from standard input, and prints which it accepts.

require "json"
require_relative "assertion"

def accepts(kase)
  key = kase["key"]
  key = kase["algorithm"] == "ed25519" ? HookgateAssertion.ed25519(key) : HookgateAssertion.hmac_sha256(key)
  headers = {}
  kase["fields"].each do |name, value|
    name = name.downcase
    headers[name] = headers.key?(name) ? "#{headers[name]}, #{value}" : value
  end
  body = kase["body"].unpack1("m0")
  HookgateAssertion.verify(kase["method"], kase["target"], headers, body, { kase["key_id"] => key }, kase["now"])
  true
rescue HookgateAssertion::Refused
  false
end

puts JSON.generate(JSON.parse($stdin.read).map { |kase| accepts(kase) })
