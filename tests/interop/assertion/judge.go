// The verifier for Go of docs/assertion.md as a judge. Reads cases from standard input, and prints which it accepts.

package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"time"

	"judge/assertion"
)

type testCase struct {
	Algorithm, Key, Method, Target, Body string
	KeyID                                string `json:"key_id"`
	Fields                               [][2]string
	Now                                  int64
}

func accepts(c testCase) bool {
	key := assertion.HmacSha256([]byte(c.Key))
	if c.Algorithm == "ed25519" {
		read, err := assertion.Ed25519([]byte(c.Key))
		if err != nil {
			panic(err)
		}
		key = read
	}
	request := &http.Request{Method: c.Method, RequestURI: c.Target, Header: http.Header{}}
	for _, field := range c.Fields {
		request.Header.Add(field[0], field[1])
	}
	body, err := base64.StdEncoding.DecodeString(c.Body)
	if err != nil {
		panic(err)
	}
	return assertion.Verify(request, body, map[string]assertion.Key{c.KeyID: key}, time.Unix(c.Now, 0)) == nil
}

func main() {
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	accepted := []bool{}
	for _, c := range cases {
		accepted = append(accepted, accepts(c))
	}
	if err := json.NewEncoder(os.Stdout).Encode(accepted); err != nil {
		panic(err)
	}
}
