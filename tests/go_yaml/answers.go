// Prints what sigs.k8s.io/yaml, with which kubectl reads YAML, makes of YAML texts.
//
// Standard input has one text per line, as a JSON string; standard output has its JSON, or "error".
// The answers in answers.json are those of version 1.3.0 with gopkg.in/yaml.v2 2.4.0.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		var text string
		if err := json.Unmarshal(in.Bytes(), &text); err != nil {
			panic(err)
		}
		answer, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			answer = []byte("error")
		}
		fmt.Fprintf(out, "%s\n", answer)
	}
}
