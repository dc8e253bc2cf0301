// Shop buys a server, and shows what there is to know about it:
//
//	shop wallet
//	shop buy order.json      # the key of the purchase is kept in order.json.key
//	shop watch
//
// SHOP_GIZAD is where gizad is (localhost:7070, unix:/run/gizad/gizad.sock), SHOP_TOKEN_FILE has the token, if one is needed.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"example.com/shop/client"
	gizad "example.com/shop/gen/gizad/v1"
)

func tell(operation *gizad.Operation) {
	services := operation.GetPurchase().GetServiceIds()
	fmt.Printf("%s %s %d VND", operation.OperationId, operation.State, operation.PostedVnd)
	for _, one := range services {
		fmt.Printf(" service %d", one)
	}
	if len(services) == 0 {
		for _, one := range operation.GetEvidence().GetServiceIds() {
			fmt.Printf(" service %s", one)
		}
	}
	fmt.Println()
}

func run(arguments []string) (int, error) {
	gateway, err := client.New(cmp.Or(os.Getenv("SHOP_GIZAD"), "localhost:7070"), os.Getenv("SHOP_TOKEN_FILE"))
	if err != nil {
		return 1, err
	}
	defer gateway.Close()
	switch {
	case len(arguments) == 1 && arguments[0] == "wallet":
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		balance, err := gateway.Balance(ctx)
		if err != nil {
			return 1, err
		}
		fmt.Println(balance, "VND")
	case len(arguments) == 2 && arguments[0] == "buy":
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		text, err := os.ReadFile(arguments[1])
		if err != nil {
			return 1, err
		}
		order := &gizad.CreateVpsRequest{}
		if err := protojson.Unmarshal(text, order); err != nil {
			return 1, err
		}
		key, err := client.KeptKey(arguments[1] + ".key")
		if err != nil {
			return 1, err
		}
		operation, err := gateway.BuyVps(ctx, order, key)
		if err != nil {
			return 1, err
		}
		tell(operation)
		if operation.State != gizad.Operation_SUCCEEDED && operation.State != gizad.Operation_FOUND {
			return 2, nil
		}
	case len(arguments) == 1 && arguments[0] == "watch":
		return 1, gateway.Watch(context.Background(), tell)
	default:
		return 2, errors.New("shop wallet | buy ORDER.json | watch")
	}
	return 0, nil
}

func main() {
	log.SetFlags(0)
	code, err := run(os.Args[1:])
	if err != nil {
		log.Print(err)
		if failed := (*client.Failure)(nil); errors.As(err, &failed) {
			for _, wrong := range failed.Violations {
				log.Printf("  %s: %s", wrong.Field, wrong.Description)
			}
			log.Printf("  request %s", failed.RequestID)
		}
	}
	os.Exit(code)
}
