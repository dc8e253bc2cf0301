//! Protobuf by descriptor: the codec that serves every method without generated code.

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Decodes messages of one kind and encodes messages of any.
#[derive(Clone, Debug)]
pub(crate) struct Dynamic {
    decoded: MessageDescriptor,
}

impl Dynamic {
    /// A codec that decodes messages of this kind: the input at a server, the output at a client.
    #[must_use]
    pub(crate) fn new(decoded: MessageDescriptor) -> Self {
        Self { decoded }
    }
}

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.decoded.clone(), buffer).map(Some).map_err(|error| {
            Status::invalid_argument(format!("the message is no protobuf of its kind: {error}"))
        })
    }
}
