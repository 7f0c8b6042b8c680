//! The JSON API at `/api`, served through WASI 0.3. What it says comes from its environment, so that one component
//! serves as the API and as its canary.

mod answer;
mod body;

use answer::Settings;
use wasip3::cli::environment::get_environment;
use wasip3::http::types::{ErrorCode, Method, Request, Response};

struct Api;

impl wasip3::exports::http::handler::Guest for Api {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let settings = Settings::from(get_environment());
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let answer = match (request.get_method(), path.trim_end_matches('/')) {
            (Method::Get | Method::Head, "/api/info") => answer::info(&settings),
            (Method::Get | Method::Head, "/api/greeting") => answer::greeting(&settings, query),
            (Method::Post, "/api/echo") => match body::read(request).await {
                Some(body) => answer::echo(&settings, &body),
                None => answer::problem(413, "The body is larger than 64 KiB", path),
            },
            (Method::Get, "/api/ticks") => return Ok(body::ticks(&settings, answer::ticks(query))),
            (_, "/api/info" | "/api/greeting" | "/api/ticks") => answer::not_allowed("GET, HEAD", path),
            (_, "/api/echo") => answer::not_allowed("POST", path),
            _ => answer::problem(404, "No such resource", path),
        };
        Ok(body::send(&settings, answer))
    }
}

wasip3::http::service::export!(Api);
