// Serves Redis's protocol from memory, for a machine that has no redis-server.
//
// Of the options of redis-server it takes --bind, --port and --version; all others are without effect.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// version is set when it is built.
var version = "unknown"

func main() {
	host, port := "127.0.0.1", "6379"
	for index, option := range os.Args[1:] {
		rest := os.Args[index+2:]
		switch {
		case option == "--version":
			fmt.Println("miniredis v" + version)
			return
		case option == "--bind" && len(rest) > 0:
			host = rest[0]
		case option == "--port" && len(rest) > 0:
			port = rest[0]
		}
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(host + ":" + port); err != nil {
		log.Fatal(err)
	}
	// Its clock stands still unless somebody moves it.
	for range time.Tick(time.Second) {
		server.FastForward(time.Second)
	}
}
