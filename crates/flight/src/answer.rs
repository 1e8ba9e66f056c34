//! The bodies of answers.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::fetch::FetchBody;
use crate::pieces::Pieces;

/// The body of an answer: rows, which leave from where they are, or what tonic encoded.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// Of DoGet.
    Rows(Box<FetchBody>),
    /// Of all else.
    Encoded(Body),
}

/// Nothing, of an answer whose headers say all.
impl Default for AnswerBody {
    fn default() -> Self {
        Self::Encoded(Body::empty())
    }
}

impl From<Body> for AnswerBody {
    fn from(body: Body) -> Self {
        Self::Encoded(body)
    }
}

impl HttpBody for AnswerBody {
    type Data = Pieces;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, Status>>> {
        match self.get_mut() {
            Self::Rows(body) => Pin::new(body.as_mut()).poll_frame(context),
            Self::Encoded(body) => {
                let frame = Pin::new(body).poll_frame(context);
                frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(Pieces::from))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Rows(body) => body.is_end_stream(),
            Self::Encoded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Rows(body) => body.size_hint(),
            Self::Encoded(body) => body.size_hint(),
        }
    }
}
