// A ProductService that is no bottleneck: for a call of ours, the stand-in in Python takes
// more CPU than our client, and makes the client's own part dearer, since it answers call by
// call.
//
//	product-service PORT PRODUCTS.JSON
//
// The file has the products by sku: {"1148162": {"name": "…", "price": 2931}}.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	name  = "route256.product.ProductService"
	token = "testtoken"
)

var invalid = status.Error(codes.Internal, "invalid request")

type product struct {
	Name  string
	Price uint64
}

// Messages stay bytes, so no code has to be generated.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(message.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}

// The responses by sku, encoded once.
type service map[uint64][]byte

func newService(path string) (service, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var products map[uint64]product
	if err := json.Unmarshal(text, &products); err != nil {
		return nil, err
	}
	responses := service{}
	for sku, product := range products {
		response := protowire.AppendTag(nil, 1, protowire.BytesType)
		response = protowire.AppendString(response, product.Name)
		response = protowire.AppendTag(response, 2, protowire.VarintType)
		responses[sku] = protowire.AppendVarint(response, product.Price)
	}
	return responses, nil
}

func (responses service) getProduct(request []byte) ([]byte, error) {
	given, sku, err := parse(request)
	if err != nil {
		return nil, err
	}
	if given != token {
		return nil, status.Error(codes.Unauthenticated, "wrong token")
	}
	response, known := responses[sku]
	if !known {
		return nil, status.Error(codes.NotFound, "no such sku")
	}
	return response, nil
}

func parse(request []byte) (given string, sku uint64, err error) {
	for len(request) > 0 {
		field, kind, size := protowire.ConsumeTag(request)
		if size < 0 {
			return "", 0, invalid
		}
		request = request[size:]
		switch {
		case field == 1 && kind == protowire.BytesType:
			given, size = protowire.ConsumeString(request)
		case field == 2 && kind == protowire.VarintType:
			sku, size = protowire.ConsumeVarint(request)
		default:
			size = protowire.ConsumeFieldValue(field, kind, request)
		}
		if size < 0 {
			return "", 0, invalid
		}
		request = request[size:]
	}
	return given, sku, nil
}

func handle(server any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	if err := decode(&request); err != nil {
		return nil, err
	}
	return server.(service).getProduct(request)
}

func main() {
	responses, err := newService(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}))
	method := grpc.MethodDesc{MethodName: "GetProduct", Handler: handle}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: name,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{method},
	}, responses)
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stopped
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
