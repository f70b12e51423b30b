"""Hands in one image after the other, each by a call of its own."""

from locust import task

from loadtest.users.service_user import ServiceUser


class UnarySubmit(ServiceUser):
    @task
    def submit_one(self) -> None:
        self.submit(self.due())
