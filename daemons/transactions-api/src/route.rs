//! Which route a path is. The routes are few and known, so that a metric's label can never be a
//! client's invention.

use http::Method;

/// One route, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `/transactions`
    Transactions,
    /// `/transactions/{id}`, with the id as it was sent.
    Transaction(&'a str),
    /// `/health`
    Health,
    /// `/ready`
    Ready,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    OpenApi,
    /// Anything else.
    Unknown,
}

impl<'a> Route<'a> {
    /// Every route's template: the values of the `route` label, indexed by [`Route::index`].
    pub(crate) const TEMPLATES: [&'static str; 7] = [
        "/transactions",
        "/transactions/{id}",
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
        "unknown",
    ];

    /// The route of a path.
    pub(crate) fn of(path: &'a str) -> Self {
        match path {
            "/transactions" => Self::Transactions,
            "/health" => Self::Health,
            "/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/openapi.json" => Self::OpenApi,
            _ => match path.strip_prefix("/transactions/") {
                Some(id) if !id.is_empty() && !id.contains('/') => Self::Transaction(id),
                _ => Self::Unknown,
            },
        }
    }

    /// The route's place in [`Route::TEMPLATES`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Transactions => 0,
            Self::Transaction(_) => 1,
            Self::Health => 2,
            Self::Ready => 3,
            Self::Metrics => 4,
            Self::OpenApi => 5,
            Self::Unknown => 6,
        }
    }

    /// The methods that the route answers, as the `Allow` header lists them.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Transactions => "GET, HEAD, POST",
            _ => "GET, HEAD",
        }
    }
}

/// A method, as far as metrics tell methods apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// GET, and HEAD, whose body hyper leaves out.
    Get,
    /// POST
    Post,
    /// Anything else, a client's own inventions among them.
    Other,
}

impl Verb {
    /// The values of the `method` label, indexed by the verb's discriminant.
    pub(crate) const LABELS: [&'static str; 3] = ["GET", "POST", "other"];

    /// The verb of a method.
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD => Self::Get,
            Method::POST => Self::Post,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_shapes_are_routes() {
        assert_eq!(Route::of("/transactions"), Route::Transactions);
        assert_eq!(Route::of("/transactions/x"), Route::Transaction("x"));
        for stranger in [
            "",
            "/",
            "/transactions/",
            "/transactions/a/b",
            "/Health",
            "//health",
        ] {
            assert_eq!(Route::of(stranger), Route::Unknown, "{stranger:?}");
        }
    }

    #[test]
    fn every_template_but_unknown_leads_back_to_its_route() {
        for (index, template) in Route::TEMPLATES.iter().enumerate() {
            assert_eq!(Route::of(template).index(), index);
        }
    }
}
