//! A stream of what is listed elsewhere, as it changes.

use prost_reflect::MessageDescriptor;

use super::{Field, Kind, Message, Operation};

/// A method that streams the items of an operation's list.
#[derive(Debug)]
pub struct Watch {
    /// Its gRPC path, `/package.Service/Method`.
    pub grpc_path: String,
    /// The request, whose fields the operation's request has, too.
    pub input: Message,
    /// The operation that lists, again and again.
    pub of: String,
    /// What is streamed.
    pub item: MessageDescriptor,
}

impl Watch {
    /// The request's field for what has not ended.
    pub const OPEN: &str = "open";
    /// The request's field for what has changed since.
    pub const AFTER: &str = "after_change";
    /// The request's field for how long to wait for a change.
    pub const WAIT: &str = "wait";
    /// The response's field for where to go on.
    pub const LATEST: &str = "latest_change";

    /// The field of an operation's response with the items.
    #[must_use]
    pub fn items(operation: &Operation) -> Option<&Field> {
        operation.output.fields.iter().find(|field| field.repeated && matches!(field.kind, Kind::Message(_)))
    }

    /// What is wrong with it, given all operations.
    pub(super) fn check(&self, operations: &[Operation]) -> Result<(), String> {
        let of = operations.iter().find(|operation| operation.name == self.of);
        let of = of.ok_or_else(|| format!("it watches {:?}, which is no operation", self.of))?;
        let own = self.input.fields.iter().map(|field| field.name.as_str());
        if let Some(name) =
            own.chain([Self::OPEN, Self::AFTER, Self::WAIT]).find(|name| of.input.field(name).is_none())
        {
            return Err(format!("the request of {} has no {name:?}", of.name));
        }
        if of.output.field(Self::LATEST).is_none() {
            return Err(format!("the response of {} has no {:?}", of.name, Self::LATEST));
        }
        let item = Self::items(of).and_then(|field| field.descriptor.kind().as_message().cloned());
        if item.as_ref() == Some(&self.item) {
            Ok(())
        } else {
            Err(format!("{} lists something else", of.name))
        }
    }
}
